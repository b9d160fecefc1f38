// Eight f32 lanes: AVX2, FMA, F16C. head_dim is a multiple of 8, so every vector of elements is whole.
#pragma once

#include <immintrin.h>

#include "core/number.h"

namespace ga::GA_ISA {

using F = __m256;
using U = __m256i;  // 32-bit units: one f32

constexpr int kWidth = 8;
constexpr int kPanelVectors = 2;  // the microkernel's tile: 6 x 2 accumulators of 16 registers
constexpr int kFold = 2;
constexpr int kChainTerms = 32;        // of a score in f32, that one register sums up
constexpr bool kWeighsBeside = false;  // a product takes all registers

#define GA_INLINE static inline __attribute__((always_inline))

GA_INLINE U lane_numbers() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
GA_INLINE U first(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane_numbers()); }

GA_INLINE F zero() { return _mm256_setzero_ps(); }
GA_INLINE F set(float x) { return _mm256_set1_ps(x); }
GA_INLINE F load(const float *p) { return _mm256_loadu_ps(p); }
GA_INLINE void store(float *p, F x) { _mm256_storeu_ps(p, x); }

GA_INLINE __m128i load_half(const void *p) { return _mm_loadu_si128(static_cast<const __m128i *>(p)); }
GA_INLINE F load(const bf16 *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half(p)), 16));
}
GA_INLINE F load(const f16 *p) { return _mm256_cvtph_ps(load_half(p)); }
GA_INLINE F load(const i8 *p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}

// Round to nearest even; a NaN stays a NaN.
GA_INLINE void store(bf16 *p, F x) {
  const U bits = _mm256_castps_si256(x);
  const U odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const U rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const U quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const U nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
  const U high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), packed);
}
GA_INLINE void store(f16 *p, F x) {
  _mm_storeu_si128(reinterpret_cast<__m128i *>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

GA_INLINE F add(F a, F b) { return _mm256_add_ps(a, b); }
GA_INLINE F sub(F a, F b) { return _mm256_sub_ps(a, b); }
GA_INLINE F mul(F a, F b) { return _mm256_mul_ps(a, b); }
GA_INLINE F div(F a, F b) { return _mm256_div_ps(a, b); }
GA_INLINE F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }    // a * b + c
GA_INLINE F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }  // c - a * b
GA_INLINE F min(F a, F b) { return _mm256_min_ps(a, b); }              // b where either is NaN
GA_INLINE F max(F a, F b) { return _mm256_max_ps(a, b); }              // b where either is NaN
GA_INLINE F abs(F a) { return _mm256_andnot_ps(set(-0.0f), a); }
GA_INLINE F select_less(F x, F y, F a, F b) { return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, y, _CMP_LT_OQ)); }
GA_INLINE bool any_greater(F a, F b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
GA_INLINE F select_negative(F sign, F a, F b) { return select_less(sign, zero(), a, b); }  // sign < 0 ? a : b
// Lanes [lo, hi) of x, others of the other; lo and hi may lie outside of the vector.
GA_INLINE F keep_range(F x, int lo, int hi, F other) {
  return _mm256_blendv_ps(other, x, _mm256_castsi256_ps(_mm256_andnot_si256(first(lo), first(hi))));
}
GA_INLINE float reduce_add(F x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
GA_INLINE float reduce_max(F x) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
constexpr float kLeastExponent = -126;                                   // of 2^x
GA_INLINE F clamp_exponent(F x) { return max(set(kLeastExponent), x); }  // this order keeps a NaN
GA_INLINE F fraction(F x) { return sub(x, _mm256_floor_ps(x)); }
// p * 2^floor(x) for x in [-126, 127]: adds to the exponent. A NaN in p stays one: x was NaN too, and converts to INT_MIN,
// whose shifted bits are 0.
GA_INLINE F scale_by_power(F p, F x) {
  const U exponent = _mm256_slli_epi32(_mm256_cvtps_epi32(_mm256_floor_ps(x)), 23);
  return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), exponent));
}
GA_INLINE F reciprocal(F x) { return div(set(1.0f), x); }
GA_INLINE F reciprocal_estimate(F x) { return reciprocal(x); }
GA_INLINE F reciprocal_sqrt(F x) { return div(set(1.0f), _mm256_sqrt_ps(x)); }

// Lane i of the result is the sum of all lanes of a[i].
GA_INLINE F fold(const F a[2]) { return _mm256_hadd_ps(a[0], a[1]); }
GA_INLINE F join(const F u[4]) {
  const F s0 = _mm256_hadd_ps(u[0], u[1]), s1 = _mm256_hadd_ps(u[2], u[3]);
  return add(_mm256_permute2f128_ps(s0, s1, 0x20), _mm256_permute2f128_ps(s0, s1, 0x31));
}

GA_INLINE U load_units(const void *p) { return _mm256_loadu_si256(static_cast<const U *>(p)); }
GA_INLINE U zero_units() { return _mm256_setzero_si256(); }
GA_INLINE void store_units(void *p, U x) { _mm256_storeu_si256(static_cast<U *>(p), x); }
GA_INLINE U broadcast_unit(const int32_t *p) { return _mm256_set1_epi32(*p); }
GA_INLINE U as_units(F x) { return _mm256_castps_si256(x); }
GA_INLINE F as_floats(U x) { return _mm256_castsi256_ps(x); }

GA_INLINE void keep(U &x) { __asm__("" : "+x"(x)); }

GA_INLINE void transpose(U r[8]) {
  U t[8];
#pragma GCC unroll 16
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; i++) {
    t[i] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2x128_si256(r[i], r[i + 4], 0x31);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i++) r[i] = t[i];
}

#include "cpu/simd/whole_vectors.h"

}  // namespace ga::GA_ISA
