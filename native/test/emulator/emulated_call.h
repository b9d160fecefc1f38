// A test case as a kernel gets it, and the checks on what the kernel made of it.
#pragma once

#include <functional>
#include <string>

#include "case.h"
#include "core/problem.h"
#include "gated_attention.h"
#include "instance.h"

namespace gatest {

// The checked call; empty, or why the library refuses it.
std::string problem_of(const ga_attention_params &params, ga::Problem &p);

// Runs a kernel on the emulator and gives its failure in words, empty when there was none.
using EmulatedKernel = std::function<std::string(const ga::Problem &p)>;

// One call and every check on its result: within SPEC's bounds of float64, nothing else written. Empty when all hold.
std::string run_emulated(const Case &c, const EmulatedKernel &kernel, ErrorBalance *balance = nullptr);

}  // namespace gatest
