// Plain C++ for any processor: four lanes that the compiler may map to whatever the baseline offers.
#pragma once

#include <cstdint>

#include "core/number.h"

namespace ga::GA_ISA {

constexpr int kWidth = 4;
constexpr int kPanelVectors = 2;
constexpr int kFold = 2;
constexpr int kChainTerms = 16;  // a product is rounded before it is added

struct F {
  float lane[4];
};
struct U {  // 32-bit units: one f32
  uint32_t lane[4];
};

#define GA_INLINE static inline __attribute__((always_inline))
#define GA_LANES(expression)                            \
  F r;                                                  \
  for (int i = 0; i < 4; i++) r.lane[i] = (expression); \
  return r

GA_INLINE uint32_t bits_of(float x) { return __builtin_bit_cast(uint32_t, x); }
GA_INLINE float from_bits(uint32_t x) { return __builtin_bit_cast(float, x); }

GA_INLINE float widen(bf16 x) { return from_bits(static_cast<uint32_t>(x.bits) << 16); }
GA_INLINE float widen(f16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16, magnitude = x.bits & 0x7fff;
  if (magnitude >= 0x7c00) return from_bits(sign | 0x7f800000 | (magnitude & 0x3ff) << 13);  // infinity, NaN
  // Shifting the exponent by a product makes subnormal numbers come out right.
  return from_bits(sign | bits_of(from_bits(magnitude << 13) * 0x1p112f));
}
// Both round to nearest even and keep a NaN a NaN.
GA_INLINE void narrow(float x, bf16 &to) {
  const uint32_t u = bits_of(x);
  to.bits = static_cast<uint16_t>((x != x ? u | 0x400000 : u + 0x7fff + (u >> 16 & 1)) >> 16);
}
GA_INLINE void narrow(float x, f16 &to) {
  const uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, magnitude = u & 0x7fffffff;
  uint32_t bits;
  if (magnitude > 0x7f800000)
    bits = 0x7e00;
  else if (magnitude >= 0x477ff000)
    bits = 0x7c00;  // rounds to 2^16 or more
  else if (magnitude < 0x38800000)
    bits = bits_of(from_bits(magnitude) + 0.5f) - 0x3f000000;  // subnormal: the sum rounds
  else
    bits = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000) >> 13;
  to.bits = static_cast<uint16_t>(sign | bits);
}
GA_INLINE float floor_of(float x) {  // for |x| < 2^31
  const float t = static_cast<float>(static_cast<int32_t>(x));
  return t > x ? t - 1 : t;
}

GA_INLINE F set(float x) { GA_LANES(x); }
GA_INLINE F zero() { return set(0); }
GA_INLINE F load(const float *p) { GA_LANES(p[i]); }
GA_INLINE F load(const bf16 *p) { GA_LANES(widen(p[i])); }
GA_INLINE F load(const f16 *p) { GA_LANES(widen(p[i])); }
GA_INLINE F load(const i8 *p) { GA_LANES(static_cast<float>(p[i].bits)); }
GA_INLINE void store(float *p, F x) {
  for (int i = 0; i < 4; i++) p[i] = x.lane[i];
}
GA_INLINE void store(bf16 *p, F x) {
  for (int i = 0; i < 4; i++) narrow(x.lane[i], p[i]);
}
GA_INLINE void store(f16 *p, F x) {
  for (int i = 0; i < 4; i++) narrow(x.lane[i], p[i]);
}

GA_INLINE F add(F a, F b) { GA_LANES(a.lane[i] + b.lane[i]); }
GA_INLINE F sub(F a, F b) { GA_LANES(a.lane[i] - b.lane[i]); }
GA_INLINE F mul(F a, F b) { GA_LANES(a.lane[i] * b.lane[i]); }
GA_INLINE F div(F a, F b) { GA_LANES(a.lane[i] / b.lane[i]); }
GA_INLINE F fma(F a, F b, F c) { GA_LANES(a.lane[i] * b.lane[i] + c.lane[i]); }
// c - a * b with the exact product: what is left of a rounded one comes out right.
GA_INLINE F fnma(F a, F b, F c) { GA_LANES(static_cast<float>(c.lane[i] - static_cast<double>(a.lane[i]) * b.lane[i])); }
GA_INLINE F min(F a, F b) { GA_LANES(a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }  // b where either is NaN
GA_INLINE F max(F a, F b) { GA_LANES(a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }  // b where either is NaN
GA_INLINE F abs(F a) { GA_LANES(__builtin_fabsf(a.lane[i])); }
GA_INLINE F select_less(F x, F y, F a, F b) { GA_LANES(x.lane[i] < y.lane[i] ? a.lane[i] : b.lane[i]); }
GA_INLINE bool any_greater(F a, F b) {
  for (int i = 0; i < kWidth; i++)
    if (a.lane[i] > b.lane[i]) return true;
  return false;
}
GA_INLINE F select_negative(F sign, F a, F b) { return select_less(sign, zero(), a, b); }  // sign < 0 ? a : b
// Lanes [lo, hi) of x, others of the other; lo and hi may lie outside of the vector.
GA_INLINE F keep_range(F x, int lo, int hi, F other) { GA_LANES(i >= lo && i < hi ? x.lane[i] : other.lane[i]); }
GA_INLINE float reduce_add(F x) { return (x.lane[0] + x.lane[2]) + (x.lane[1] + x.lane[3]); }
GA_INLINE float reduce_max(F x) {
  float m = x.lane[0];
  for (int i = 1; i < 4; i++) m = x.lane[i] > m ? x.lane[i] : m;
  return m;
}
constexpr float kLeastExponent = -126;                                   // of 2^x
GA_INLINE F clamp_exponent(F x) { return max(set(kLeastExponent), x); }  // this order keeps a NaN
GA_INLINE F fraction(F x) { GA_LANES(x.lane[i] - floor_of(x.lane[i])); }
GA_INLINE F scale_by_power(F p, F x) {  // p * 2^floor(x) for x in [-126, 127]
  GA_LANES(x.lane[i] != x.lane[i]
               ? x.lane[i]
               : p.lane[i] * from_bits(static_cast<uint32_t>(static_cast<int32_t>(floor_of(x.lane[i])) + 127) << 23));
}
GA_INLINE F reciprocal(F x) { GA_LANES(1 / x.lane[i]); }
GA_INLINE F reciprocal_estimate(F x) { return reciprocal(x); }
GA_INLINE F reciprocal_sqrt(F x) { GA_LANES(1 / __builtin_sqrtf(x.lane[i])); }

// Lane i of the result is the sum of all lanes of a[i].
GA_INLINE F fold(const F a[2]) { return {{reduce_add(a[0]), reduce_add(a[1]), 0, 0}}; }
GA_INLINE F join(const F u[2]) { return {{u[0].lane[0], u[0].lane[1], u[1].lane[0], u[1].lane[1]}}; }

GA_INLINE U load_units(const void *p) {
  U r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
GA_INLINE U zero_units() { return {}; }
GA_INLINE void store_units(void *p, U x) { __builtin_memcpy(p, &x, sizeof x); }
GA_INLINE U broadcast_unit(const int32_t *p) {
  const uint32_t x = static_cast<uint32_t>(*p);
  return {{x, x, x, x}};
}
GA_INLINE U as_units(F x) { return __builtin_bit_cast(U, x); }
GA_INLINE F as_floats(U x) { return __builtin_bit_cast(F, x); }
GA_INLINE void keep(U &) {}
GA_INLINE void transpose(U r[4]) {
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < i; j++) {
      const uint32_t t = r[i].lane[j];
      r[i].lane[j] = r[j].lane[i];
      r[j].lane[i] = t;
    }
}

#undef GA_LANES

#include "cpu/simd/whole_vectors.h"

}  // namespace ga::GA_ISA
