// The kernels of src/cuda/forward_mma on the emulator.
#pragma once

#include <string>

#include "core/problem.h"
#include "machine.h"

namespace gatest {

// Runs the kernel that the family would launch on a device with so much L2 cache; its failure in words, empty when there was none.
std::string forward_mma(const ga::Problem &p, const gaemu::Options &options = {}, int64_t l2_bytes = 32 << 20);

}  // namespace gatest
