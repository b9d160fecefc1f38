// A checked backward call. src/abi/validate_backward.cpp is the only place that makes one.
#pragma once

#include "core/problem.h"

namespace ga {

// The forward call, whose out and lse are read now, and the gradients that are wanted.
struct BackwardProblem : Problem {
  View dout, ungated;                           // ungated: Y in the type of q or f32, or absent
  View dq, dk, dv, dgate, dnorm_weight, dsink;  // data == nullptr: not wanted; stride 0 where the gradient is summed up
};

// Whether O and G tell all that the gradients need of Y without a division that may be one by 0: where nothing was done to Y, or
// where it was multiplied by an activation that is above 0 everywhere, whose slope over value is bounded.
inline bool out_tells_ungated(ga_pre_gate pre_gate, bool gated, ga_combination combination, ga_activation activation) {
  if (pre_gate != GA_PRE_NONE) return false;
  if (!gated) return true;
  const bool positive = activation == GA_SIGMOID || activation == GA_NS_SIGMOID || activation == GA_TWO_SIGMOID ||
                        activation == GA_SOFTPLUS;
  return combination == GA_MULTIPLY && positive;
}

}  // namespace ga
