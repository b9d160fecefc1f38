// A call of the Hopper kernels on the emulator.
#pragma once

#include "core/problem.h"
#include "machine.h"

namespace gatest {

// The kernels' own refusal as "refused: ...", else what the emulator found.
std::string launch_forward_sm90(const ga::Problem &p, const gaemu::Options &options, int blocks);

}  // namespace gatest
