// Backward calls as cases: the forward call's, with the gradients' operands, and the check of a result against float64.
#pragma once

#include <string>

#include "backward_reference.h"
#include "instance.h"
#include "random_case.h"

namespace gatest {

// Every gradient of a case whose forward operands are laid out, dense and in its tensor's type; dout; out and lse of their own.
void add_gradients(Case &c);

// A random forward case made into a backward one: without what backward refuses, gradients in any layout, type and choice.
Case random_backward_case(uint64_t seed, const RandomOptions &options);

// What of the error each gradient has, at most, over all cases: |error| / bound.
struct GradientErrors {
  double largest[6] = {};
};

// The forward call, then the backward one with every check on its result; empty when all hold.
std::string run_backward_and_check(ga_runtime runtime, const Case &c, Placement placement, GradientErrors *errors);

// Empty when every gradient of a call that was made is within its bound, else the first that is not.
std::string compare_gradients(const Instance &instance, GradientErrors *errors);

// Empty where both calls succeed; fills ungated where the case has it.
std::string run_backward(ga_runtime runtime, Instance &instance);

}  // namespace gatest
