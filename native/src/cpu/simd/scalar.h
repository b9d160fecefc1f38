// For any processor: four lanes of the compiler's own vectors, which it maps to whatever the baseline offers.
#pragma once

#include <cstdint>

#include "core/number.h"

namespace ga::GA_ISA {

constexpr int kWidth = 4;
constexpr int kPanelVectors = 2;
constexpr int kFold = 2;
constexpr int kChainTerms = 16;        // a product is rounded before it is added
constexpr bool kWeighsBeside = false;  // a product takes all registers

using F = float __attribute__((vector_size(16)));
using U = uint32_t __attribute__((vector_size(16)));  // 32-bit units: one f32
using I = int32_t __attribute__((vector_size(16)));
using Half = uint16_t __attribute__((vector_size(8)));

#define GA_INLINE static inline __attribute__((always_inline))

GA_INLINE F set(float x) { return F{x, x, x, x}; }
GA_INLINE F zero() { return F{}; }
GA_INLINE U as_units(F x) { return __builtin_bit_cast(U, x); }
GA_INLINE F as_floats(U x) { return __builtin_bit_cast(F, x); }

GA_INLINE U load_half(const void *p) {
  Half r;
  __builtin_memcpy(&r, p, sizeof r);
  return __builtin_convertvector(r, U);
}
GA_INLINE void store_half(void *p, U x) {
  const Half half = __builtin_convertvector(x, Half);
  __builtin_memcpy(p, &half, sizeof half);
}
GA_INLINE F load(const float *p) {
  F r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
GA_INLINE F load(const bf16 *p) { return as_floats(load_half(p) << 16); }
GA_INLINE F load(const f16 *p) {
  const U x = load_half(p), magnitude = x & 0x7fff;
  // Shifting the exponent by a product makes subnormal numbers come out right.
  const U finite = as_units(as_floats(magnitude << 13) * 0x1p112f);
  const U infinity_or_nan = 0x7f800000 | (magnitude & 0x3ff) << 13;
  return as_floats((x & 0x8000) << 16 | (magnitude >= 0x7c00 ? infinity_or_nan : finite));
}
GA_INLINE F load(const i8 *p) { return __builtin_convertvector((I{p[0].bits, p[1].bits, p[2].bits, p[3].bits}), F); }
GA_INLINE void store(float *p, F x) { __builtin_memcpy(p, &x, sizeof x); }
// NaN is what differs from itself.
GA_INLINE U is_nan(F x) { return x != x; }  // NOLINT(misc-redundant-expression)
// Both round to nearest even and keep a NaN a NaN.
GA_INLINE void store(bf16 *p, F x) {
  const U u = as_units(x);
  store_half(p, (is_nan(x) ? u | 0x400000 : u + 0x7fff + (u >> 16 & 1)) >> 16);
}
GA_INLINE void store(f16 *p, F x) {
  const U u = as_units(x), magnitude = u & 0x7fffffff;
  const U subnormal = as_units(as_floats(magnitude) + 0.5f) - 0x3f000000;  // the sum rounds
  const U normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  U r = magnitude < 0x38800000 ? subnormal : normal;
  r = magnitude >= 0x477ff000 ? 0x7c00 : r;  // rounds to 2^16 or more
  r = magnitude > 0x7f800000 ? 0x7e00 : r;
  store_half(p, (u >> 16 & 0x8000) | r);
}

GA_INLINE F add(F a, F b) { return a + b; }
GA_INLINE F sub(F a, F b) { return a - b; }
GA_INLINE F mul(F a, F b) { return a * b; }
GA_INLINE F div(F a, F b) { return a / b; }
GA_INLINE F fma(F a, F b, F c) { return a * b + c; }
// c - a * b with the exact product: what is left of a rounded one comes out right.
GA_INLINE F fnma(F a, F b, F c) {
  using Wide = double __attribute__((vector_size(32)));
  return __builtin_convertvector(
      __builtin_convertvector(c, Wide) - __builtin_convertvector(a, Wide) * __builtin_convertvector(b, Wide), F);
}
GA_INLINE F min(F a, F b) { return a < b ? a : b; }  // b where either is NaN
GA_INLINE F max(F a, F b) { return a > b ? a : b; }  // b where either is NaN
GA_INLINE F abs(F a) { return as_floats(as_units(a) & 0x7fffffff); }
GA_INLINE F select_less(F x, F y, F a, F b) { return x < y ? a : b; }
GA_INLINE bool any_greater(F a, F b) {
  const I greater = a > b;
  return (greater[0] | greater[1] | greater[2] | greater[3]) != 0;
}
GA_INLINE F select_negative(F sign, F a, F b) { return select_less(sign, zero(), a, b); }  // sign < 0 ? a : b
// Lanes [lo, hi) of x, others of the other; lo and hi may lie outside of the vector.
GA_INLINE F keep_range(F x, int lo, int hi, F other) {
  const I lane = {0, 1, 2, 3};
  return ((lane >= lo) & (lane < hi)) ? x : other;
}
GA_INLINE float reduce_add(F x) { return (x[0] + x[2]) + (x[1] + x[3]); }
GA_INLINE float reduce_max(F x) {
  float m = x[0];
  for (int i = 1; i < kWidth; i++) m = x[i] > m ? x[i] : m;
  return m;
}
constexpr float kLeastExponent = -126;                                   // of 2^x
GA_INLINE F clamp_exponent(F x) { return max(set(kLeastExponent), x); }  // this order keeps a NaN
// For |x| < 2^31.
GA_INLINE I floor_of(F x) {
  const I whole = __builtin_convertvector(x, I);
  return whole + (__builtin_convertvector(whole, F) > x);  // true is -1
}
GA_INLINE F fraction(F x) { return x - __builtin_convertvector(floor_of(x), F); }
// p * 2^floor(x) for x in [-126, 127].
GA_INLINE F scale_by_power(F p, F x) { return is_nan(x) ? x : p * __builtin_bit_cast(F, (floor_of(x) + 127) << 23); }
GA_INLINE F reciprocal(F x) { return 1 / x; }
GA_INLINE F reciprocal_estimate(F x) { return reciprocal(x); }
GA_INLINE F reciprocal_sqrt(F x) {
  for (int i = 0; i < kWidth; i++) x[i] = 1 / __builtin_sqrtf(x[i]);
  return x;
}

// Lane i of the result is the sum of all lanes of a[i].
GA_INLINE F fold(const F a[2]) { return F{reduce_add(a[0]), reduce_add(a[1])}; }
GA_INLINE F join(const F u[2]) { return F{u[0][0], u[0][1], u[1][0], u[1][1]}; }

GA_INLINE U load_units(const void *p) {
  U r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
GA_INLINE U zero_units() { return U{}; }
GA_INLINE void store_units(void *p, U x) { __builtin_memcpy(p, &x, sizeof x); }
GA_INLINE U broadcast_unit(const int32_t *p) {
  const uint32_t x = static_cast<uint32_t>(*p);
  return U{x, x, x, x};
}
GA_INLINE void keep(U &) {}
GA_INLINE void transpose(U r[4]) {
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < i; j++) {
      const uint32_t t = r[i][j];
      r[i][j] = r[j][i];
      r[j][i] = t;
    }
}

#include "cpu/simd/whole_vectors.h"

}  // namespace ga::GA_ISA
