// exp2 and the gate's activations on vectors. Included once per instruction set, after its simd header.
//
// Two precisions: kFine errs by about one ulp of f32; kCoarse (7e-5 relative) is for values that are rounded to 16 bits next.
#pragma once

#include "core/number.h"
#include "gated_attention.h"

namespace ga::GA_ISA {

enum Precision { kCoarse, kFine };

constexpr float kRescaleAt = 8;  // softmax: the reference maximum follows only when it grew by over 2^8

constexpr float kLog2E = 1.44269504f, kLog2ELow = 1.92596299e-8f, kLn2 = 0.693147181f;
constexpr double kLog2EDouble = 1.4426950408889634, kLn2Double = 0.69314718055994531;

// Minimax polynomials of 2^f for f in [0, 1), the highest power first: relative errors of 7.5e-5 and 7.5e-8.
constexpr int kDegree[] = {3, 5};
constexpr float kPowerOfTwo[][6] = {
    {7.802452266e-2f, 2.260671554e-1f, 6.958335405e-1f, 9.999252186e-1f},
    {1.877576673e-3f, 8.989340095e-3f, 5.582631805e-2f, 2.401536170e-1f, 6.931530732e-1f, 9.999999251e-1f}};

// f becomes 2^(floor(x) + f), f about in [0, 1), where x is. A step for all n of them, then the next: it waits for the one before.
template <Precision P, int n>
GA_ALWAYS_INLINE void power_of_two(const F (&x)[n], F (&f)[n]) {
  F p[n];
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) p[i] = set(kPowerOfTwo[P][0]);
#pragma GCC unroll 8
  for (int k = 1; k <= kDegree[P]; k++)
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) p[i] = fma(p[i], f[i], set(kPowerOfTwo[P][k]));
#pragma GCC unroll 8
  for (int i = 0; i < n; i++) f[i] = scale_by_power(p[i], x[i]);
}

template <Precision P>
GA_INLINE F power_of_two(F x, F f) {
  const F whole[] = {x};
  F power[] = {f};
  power_of_two<P>(whole, power);
  return power[0];
}

// 2^x for x up to 127; at most 2^-126 for all x below -126. NaN in, NaN out.
template <Precision P>
GA_INLINE F exp2(F x) {
  x = clamp_exponent(x);
  return power_of_two<P>(x, fraction(x));
}

constexpr float kMaxExponent = 126.0f / kLog2E;

// e^-x for x from -kMaxExponent to -kLeastExponent / log2(e). The fraction is taken from the exact product of x and log2(e): the rounding error of the
// product alone would grow with x.
GA_INLINE F exp_negative(F x) {
  const F t = clamp_exponent(mul(x, set(-kLog2E)));
  const F minus_floor = sub(fraction(t), t);
  return power_of_two<kFine>(t, fnma(x, set(kLog2ELow), fnma(x, set(kLog2E), minus_floor)));
}

// 2^S e^-x for x from -43 to scaled_limit(S): accurate where e^-x is below the least normal number, until it is scaled back.
constexpr float scaled_limit(int s) { return (125.0f + static_cast<float>(s)) / kLog2E; }
template <int S>
GA_INLINE F exp_negative_scaled(F x) {
  const F t = mul(x, set(-kLog2E));
  const F minus_floor = sub(fraction(t), t);
  return power_of_two<kFine>(sub(set(static_cast<float>(S)), minus_floor),
                             fnma(x, set(kLog2ELow), fnma(x, set(kLog2E), minus_floor)));
}

// e^-x down to 0.
GA_INLINE F exp_negative_to_zero(F x) {
  if constexpr (kLeastExponent < -149) return exp_negative(min(set(-kLeastExponent / kLog2E), x));
  return mul(exp_negative_scaled<64>(min(set(scaled_limit(64)), x)), set(0x1p-64f));
}

// 1 / (1 + e^-g), whose denominator stays between 1 and 2^127: no overflow, no cancellation.
template <Precision P>
GA_INLINE F sigmoid(F g) {
  if constexpr (P == kCoarse)
    return reciprocal_estimate(add(exp2<kCoarse>(min(set(126.0f), mul(g, set(-kLog2E)))), set(1.0f)));
  return reciprocal(add(exp_negative(min(set(kMaxExponent), max(set(-kMaxExponent), g))), set(1.0f)));
}

// tanh, to about one ulp: near 0 x minus a correction, the continued fraction's less its first term, where the exponential form
// cancels; far from it 1 minus another.
GA_INLINE F tanh(F x) {
  const F a = abs(x), q = mul(x, x);
  const F numerator = mul(q, fma(q, fma(q, set(27.0f), set(2772.0f)), set(45045.0f)));
  const F denominator = fma(q, fma(q, fma(q, set(28.0f), set(3150.0f)), set(62370.0f)), set(135135.0f));
  const F near = fnma(x, div(numerator, denominator), x);
  const F e = exp_negative(min(set(40.0f), mul(a, set(2.0f))));
  const F far = sub(set(1.0f), div(add(e, e), add(set(1.0f), e)));
  return select_less(a, set(0.9f), near, select_negative(x, sub(zero(), far), far));
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(e) = 2 atanh(s) with s = e / (2 + e) <= 1/3.
GA_INLINE F softplus(F x) {
  const F e = exp_negative(min(set(kMaxExponent), abs(x)));
  const F s = div(e, add(e, set(2.0f))), q = mul(s, s);
  F p = set(2.0f / 13);
  p = fma(p, q, set(2.0f / 11));
  p = fma(p, q, set(2.0f / 9));
  p = fma(p, q, set(2.0f / 7));
  p = fma(p, q, set(2.0f / 5));
  p = fma(p, q, set(2.0f / 3));
  p = fma(p, q, set(2.0f));
  return fma(p, s, max(zero(), x));
}

template <Precision P>
GA_INLINE F activate(ga_activation activation, F g) {
  switch (activation) {
    case GA_SILU: return mul(g, sigmoid<P>(g));
    case GA_IDENTITY: return g;
    case GA_NS_SIGMOID: return fma(sigmoid<P>(g), set(0.5f), set(0.5f));
    case GA_TWO_SIGMOID: return mul(sigmoid<P>(g), set(2.0f));
    case GA_SOFTPLUS: return softplus(g);
    case GA_TANH: return tanh(g);
    default: return sigmoid<P>(g);
  }
}

// 2^x to about 1e-11, once per row: 0 below -1000, NaN in, NaN out; x is at most 1000.
GA_INLINE double exp2_scalar(double x) {
  if (x != x) return x;
  if (x < -1000) return 0;
  const int64_t n = static_cast<int64_t>(x + 1024.5) - 1024;  // the nearest integer
  const double f = (x - static_cast<double>(n)) * kLn2Double;
  double p = 1;
  for (int i = 9; i > 0; i--) p = 1 + p * f / i;  // the series of e^f, |f| <= 0.35
  union {
    uint64_t u;
    double d;
  } power = {static_cast<uint64_t>(n + 1023) << 52};
  return p * power.d;
}

// log2 of a positive normal number, to about 1e-7 absolute: once per row, for the LSE.
GA_INLINE float log2_scalar(float x) {
  union {
    float f;
    uint32_t u;
  } bits = {x};
  int exponent = static_cast<int>(bits.u >> 23) - 127;
  bits.u = (bits.u & 0x7fffffu) | 0x3f800000u;  // [1, 2)
  if (bits.f > 1.41421356f) {
    bits.f *= 0.5f;
    exponent++;
  }
  const double s = (bits.f - 1.0) / (bits.f + 1.0), q = s * s;  // |s| <= 0.172
  const double series = s * (2.0 + q * (2.0 / 3 + q * (2.0 / 5 + q * (2.0 / 7 + q * (2.0 / 9)))));
  return static_cast<float>(exponent + series * kLog2EDouble);
}

}  // namespace ga::GA_ISA
