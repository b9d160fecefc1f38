// The gate's activations again, with their slopes: for the backward pass.
#pragma once

#include "cpu/math.h"

namespace ga::GA_ISA {

// sigmoid(g) and sigmoid(-g), each to its own relative precision: 1 - sigmoid(g) would cancel.
struct Sigmoids {
  F value, rest;
};

// Coarsely, the value is the very one that the forward pass multiplied with: what O holds of it divides out.
template <Precision P>
GA_INLINE Sigmoids sigmoids(F g) {
  if constexpr (P == kCoarse) {
    const F e = exp2<kCoarse>(min(set(126.0f), mul(g, set(-kLog2E))));
    const F value = reciprocal_estimate(add(e, set(1.0f)));
    return {value, mul(e, value)};
  }
  const F e = exp_negative(min(set(kMaxExponent), abs(g)));
  const F large = reciprocal(add(e, set(1.0f))), small = mul(e, large);
  return {select_negative(g, small, large), select_negative(g, large, small)};
}

struct Activation {
  F value, slope;
  F again = set(1.0f);  // the slope is slope * again: tanh's falls below what f32 holds where its root does not

  GA_ALWAYS_INLINE F times_slope(F x) const { return mul(mul(x, slope), again); }
};

template <Precision P>
GA_INLINE Activation activation_of(ga_activation activation, F g) {
  if (activation == GA_IDENTITY) return {g, set(1.0f)};
  if (activation == GA_TANH) {  // 1 / cosh^2: 1 - tanh^2 would cancel as well
    const F e = exp_negative(min(set(kMaxExponent), abs(g)));
    const F root = div(add(e, e), fma(e, e, set(1.0f)));
    return {tanh(g), root, root};
  }
  const Sigmoids s = sigmoids<P>(g);
  const F slope = mul(s.value, s.rest);
  switch (activation) {
    case GA_SILU: return {mul(g, s.value), fma(g, slope, s.value)};
    case GA_NS_SIGMOID: return {fma(s.value, set(0.5f), set(0.5f)), mul(slope, set(0.5f))};
    case GA_TWO_SIGMOID: return {add(s.value, s.value), add(slope, slope)};
    case GA_SOFTPLUS: return {softplus(g), s.value};
    default: return {s.value, slope};
  }
}

// Of an activation that is above 0 everywhere: its value, and its slope over its value.
template <Precision P>
GA_INLINE Activation relative_slope_of(ga_activation activation, F g) {
  const Sigmoids s = sigmoids<P>(g);
  switch (activation) {
    case GA_NS_SIGMOID: return {fma(s.value, set(0.5f), set(0.5f)), div(mul(s.value, s.rest), add(set(1.0f), s.value))};
    case GA_TWO_SIGMOID: return {add(s.value, s.value), s.rest};
    case GA_SOFTPLUS: {
      const F value = softplus(g);
      return {value, div(s.value, value)};
    }
    default: return {s.value, s.rest};
  }
}

}  // namespace ga::GA_ISA
