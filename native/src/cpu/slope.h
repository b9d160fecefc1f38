// The gate's activations again, with their slopes: for the backward pass.
//
// Finely, slopes come in units of 2^-32: the slope of a saturated gate may lie below the least normal number where its product with
// a gradient does not.
#pragma once

#include "cpu/math.h"

namespace ga::GA_ISA {

template <Precision P>
constexpr float kUnit = P == kFine ? 0x1p-32f : 1.0f;

// sigmoid(g) and sigmoid(-g), each to its own relative precision: 1 - sigmoid(g) would cancel.
struct Sigmoids {
  F value, value_units, rest_units, slope_units;
};

// Coarsely, the value is the very one that the forward pass multiplied with: what O holds of it divides out.
template <Precision P>
GA_INLINE Sigmoids sigmoids(F g) {
  if constexpr (P == kCoarse) {
    const F e = exp2<kCoarse>(min(set(126.0f), mul(g, set(-kLog2E))));
    const F value = reciprocal_estimate(add(e, set(1.0f))), rest = mul(e, value);
    return {value, value, rest, mul(value, rest)};
  }
  const F scaled = exp_negative_scaled<32>(min(set(scaled_limit(32)), abs(g))), e = mul(scaled, set(kUnit<P>));
  const F large = reciprocal(add(e, set(1.0f))), large_units = mul(large, set(1 / kUnit<P>)),
          small_units = mul(scaled, large);
  return {select_negative(g, mul(e, large), large), select_negative(g, small_units, large_units),
          select_negative(g, large_units, small_units), mul(small_units, large)};
}

struct Activation {
  F value, slope;
  F unit = set(1.0f);  // of the slope

  GA_ALWAYS_INLINE F times_slope(F x) const { return mul(mul(x, slope), unit); }
};

template <Precision P>
GA_INLINE Activation activation_of(ga_activation activation, F g) {
  if (activation == GA_IDENTITY) return {g, set(1.0f)};
  const F unit = set(kUnit<P>);
  if (activation == GA_TANH)  // 1 - tanh^2 would cancel as well
    return {tanh(g), mul(set(4.0f), sigmoids<P>(add(g, g)).slope_units), unit};
  const Sigmoids s = sigmoids<P>(g);
  switch (activation) {
    case GA_SILU: return {mul(g, s.value), fma(g, s.slope_units, s.value_units), unit};
    case GA_NS_SIGMOID: return {fma(s.value, set(0.5f), set(0.5f)), mul(s.slope_units, set(0.5f)), unit};
    case GA_TWO_SIGMOID: return {add(s.value, s.value), add(s.slope_units, s.slope_units), unit};
    case GA_SOFTPLUS: return {softplus(g), s.value_units, unit};
    default: return {s.value, s.slope_units, unit};
  }
}

// Of an activation that is above 0 everywhere: its value, and its slope over its value.
template <Precision P>
GA_INLINE Activation relative_slope_of(ga_activation activation, F g) {
  const Sigmoids s = sigmoids<P>(g);
  const F unit = set(kUnit<P>);
  switch (activation) {
    case GA_NS_SIGMOID: return {fma(s.value, set(0.5f), set(0.5f)), div(s.slope_units, add(set(1.0f), s.value)), unit};
    case GA_TWO_SIGMOID: return {add(s.value, s.value), s.rest_units, unit};
    case GA_SOFTPLUS: {
      const F value = softplus(g);
      return {value, div(s.value, value)};
    }
    default: return {s.value, s.rest_units, unit};
  }
}

}  // namespace ga::GA_ISA
