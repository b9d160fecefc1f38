// Sixteen f32 lanes: AVX-512 F, BW, DQ, VL. With GA_NATIVE_BF16 also the product of bf16 pairs (vdpbf16ps), and with VBMI tables of bytes.
#pragma once

#include <immintrin.h>

#include "core/number.h"

namespace ga::GA_ISA {

using F = __m512;
using U = __m512i;  // 32-bit units: one f32, or two bf16

constexpr int kWidth = 16;            // f32 lanes of a vector
constexpr int kPanelVectors = 4;      // columns of the microkernel's tile: 6 x 4 accumulators of 32 registers
constexpr int kFold = 4;              // dot products that decode sums up together
constexpr int kChainTerms = 32;       // of a score in f32, that one register sums up
constexpr bool kWeighsBeside = true;  // registers are left for a softmax beside a product

#define GA_INLINE static inline __attribute__((always_inline))

GA_INLINE __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }

GA_INLINE F zero() { return _mm512_setzero_ps(); }
GA_INLINE F set(float x) { return _mm512_set1_ps(x); }
GA_INLINE F load(const float *p) { return _mm512_loadu_ps(p); }
GA_INLINE void store(float *p, F x) { _mm512_storeu_ps(p, x); }
GA_INLINE F load(const float *p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
GA_INLINE void store(float *p, F x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }

GA_INLINE F widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
GA_INLINE F load(const bf16 *p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))); }
GA_INLINE F load(const bf16 *p, int n) { return widen(_mm256_maskz_loadu_epi16(first(n), p)); }
GA_INLINE F load(const f16 *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p))); }
GA_INLINE F load(const f16 *p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)); }
GA_INLINE F load(const i8 *p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))));
}
GA_INLINE F load(const i8 *p, int n) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first(n), p)));
}

// Round to nearest even; a NaN stays a NaN.
GA_INLINE __m256i to_bf16(F x) {
#ifdef GA_NATIVE_BF16
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
#else
  const U bits = _mm512_castps_si512(x);
  const U odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const U rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const U quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
#endif
}
GA_INLINE __m256i to_f16(F x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
GA_INLINE void store(bf16 *p, F x) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), to_bf16(x)); }
GA_INLINE void store(bf16 *p, F x, int n) { _mm256_mask_storeu_epi16(p, first(n), to_bf16(x)); }
GA_INLINE void store(f16 *p, F x) { _mm256_storeu_si256(reinterpret_cast<__m256i *>(p), to_f16(x)); }
GA_INLINE void store(f16 *p, F x, int n) { _mm256_mask_storeu_epi16(p, first(n), to_f16(x)); }

GA_INLINE F add(F a, F b) { return _mm512_add_ps(a, b); }
GA_INLINE F sub(F a, F b) { return _mm512_sub_ps(a, b); }
GA_INLINE F mul(F a, F b) { return _mm512_mul_ps(a, b); }
GA_INLINE F div(F a, F b) { return _mm512_div_ps(a, b); }
GA_INLINE F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }    // a * b + c
GA_INLINE F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a * b
GA_INLINE F min(F a, F b) { return _mm512_min_ps(a, b); }              // b where either is NaN
GA_INLINE F max(F a, F b) { return _mm512_max_ps(a, b); }              // b where either is NaN
GA_INLINE F abs(F a) { return _mm512_abs_ps(a); }
GA_INLINE F select_negative(F sign, F a, F b) {  // sign < 0 ? a : b
  return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(sign, zero(), _CMP_LT_OQ), a);
}
GA_INLINE F select_less(F x, F y, F a, F b) { return _mm512_mask_mov_ps(b, _mm512_cmp_ps_mask(x, y, _CMP_LT_OQ), a); }
GA_INLINE bool any_greater(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
// Lanes [lo, hi) of x, others of the other; lo and hi may lie outside of the vector.
GA_INLINE F keep_range(F x, int lo, int hi, F other) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 from = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(lo));
  return _mm512_mask_mov_ps(other, _mm512_mask_cmplt_epi32_mask(from, lane, _mm512_set1_epi32(hi)), x);
}
GA_INLINE float reduce_add(F x) { return _mm512_reduce_add_ps(x); }
GA_INLINE float reduce_max(F x) { return _mm512_reduce_max_ps(x); }
constexpr float kLeastExponent = -256;         // of 2^x: from there on it is 0
GA_INLINE F clamp_exponent(F x) { return x; }  // scale_by_power takes any x
GA_INLINE F fraction(F x) { return _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }  // x - floor(x)
GA_INLINE F scale_by_power(F p, F x) { return _mm512_scalef_ps(p, x); }                               // p * 2^floor(x)
GA_INLINE F reciprocal_estimate(F x) { return _mm512_rcp14_ps(x); }                                   // 14 bits
GA_INLINE F reciprocal(F x) {
  const F r = _mm512_rcp14_ps(x);
  return mul(r, fnma(x, r, set(2.0f)));
}
GA_INLINE F reciprocal_sqrt(F x) { return div(set(1.0f), _mm512_sqrt_ps(x)); }

// Row sums in two steps, so that few vectors wait in registers: fold takes kFold rows, join all folds of kWidth rows;
// lane i of the result is the sum of all lanes of row i.
GA_INLINE F fold(const F a[4]) {
  const __m512d x = _mm512_castps_pd(add(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1])));
  const __m512d y = _mm512_castps_pd(add(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3])));
  return add(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
}
GA_INLINE F join(const F u[4]) {
  const F v0 = add(_mm512_shuffle_f32x4(u[0], u[1], 0x88), _mm512_shuffle_f32x4(u[0], u[1], 0xdd));
  const F v1 = add(_mm512_shuffle_f32x4(u[2], u[3], 0x88), _mm512_shuffle_f32x4(u[2], u[3], 0xdd));
  return add(_mm512_shuffle_f32x4(v0, v1, 0x88), _mm512_shuffle_f32x4(v0, v1, 0xdd));
}

GA_INLINE U load_units(const void *p) { return _mm512_loadu_si512(p); }
GA_INLINE U load_units(const void *p, int n) { return _mm512_maskz_loadu_epi32(first(n), p); }
GA_INLINE U zero_units() { return _mm512_setzero_si512(); }
GA_INLINE void store_units(void *p, U x) { _mm512_storeu_si512(p, x); }
GA_INLINE void store_units(void *p, U x, int n) { _mm512_mask_storeu_epi32(p, first(n), x); }
GA_INLINE U broadcast_unit(const int32_t *p) { return _mm512_set1_epi32(*p); }
GA_INLINE U as_units(F x) { return _mm512_castps_si512(x); }
GA_INLINE F as_floats(U x) { return _mm512_castsi512_ps(x); }

GA_INLINE void keep(U &x) { __asm__("" : "+v"(x)); }  // a value to be held in a register, not to be loaded again

GA_INLINE void transpose(U r[16]) {
  U t[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
#pragma GCC unroll 16
  for (int h = 0; h < 16; h += 8)
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
      t[h + i] = _mm512_shuffle_i32x4(r[h + i], r[h + i + 4], 0x88);
      t[h + i + 4] = _mm512_shuffle_i32x4(r[h + i], r[h + i + 4], 0xdd);
    }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i++) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
  }
}

#ifdef GA_NATIVE_BF16
GA_INLINE F dot_pairs(F c, U a, U b) {
  return _mm512_dpbf16_ps(c, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}
// 32 columns of two rows, as (x[d], y[d]) pairs: columns 0-15, then 16-31.
GA_INLINE void interleave(U x, U y, U &low, U &high) {
  const U index = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36,
                                   4, 35, 3, 34, 2, 33, 1, 32, 0);
  low = _mm512_permutex2var_epi16(x, index, y);
  high = _mm512_permutex2var_epi16(x, _mm512_add_epi16(index, _mm512_set1_epi16(16)), y);
}
// The same within 128 bits, which is cheaper. join_columns brings the columns of two vectors back in order.
GA_INLINE void interleave_lanes(U x, U y, U &low, U &high) {
  low = _mm512_unpacklo_epi16(x, y);
  high = _mm512_unpackhi_epi16(x, y);
}
GA_INLINE void join_columns(F &a, F &b) {
  const F low = _mm512_shuffle_f32x4(a, b, 0x44), high = _mm512_shuffle_f32x4(a, b, 0xee);
  a = _mm512_shuffle_f32x4(low, low, 0xd8);
  b = _mm512_shuffle_f32x4(high, high, 0xd8);
}
GA_INLINE U pack_pairs(F low, F high) { return reinterpret_cast<U>(_mm512_cvtne2ps_pbh(high, low)); }
// The same unit by unit, of numbers that bf16 holds exactly.
GA_INLINE U pair_up(F low, F high) { return _mm512_or_si512(_mm512_srli_epi32(as_units(low), 16), as_units(high)); }
GA_INLINE F low_halves(U x) { return as_floats(_mm512_slli_epi32(x, 16)); }
GA_INLINE F high_halves(U x) { return as_floats(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(0xffff0000u)))); }
// Each of both halves times a power of two.
GA_INLINE U multiply_pairs(U x, F power) {
  const F high = mul(high_halves(x), power);
  return pair_up(mul(low_halves(x), power), as_floats(as_units(high_halves(as_units(high)))));
}
#endif

#if defined(GA_NATIVE_BF16) && defined(__AVX512VBMI__)
#define GA_BYTE_TABLES

// The two bytes of m in bf16, for m up to 127; for 0 those of 128, whose lower seven bits are 0.
struct Bf16Bytes {
  alignas(64) uint8_t low[128], high[128];
  constexpr Bf16Bytes() : low(), high() {
    for (int m = 0; m < 128; m++) {
      const int magnitude = m == 0 ? 128 : m;
      int exponent = 0;
      while (magnitude >> (exponent + 1)) exponent++;
      const int bits = (127 + exponent) << 7 | ((magnitude << 7 >> exponent) & 0x7f);
      low[m] = static_cast<uint8_t>(bits);
      high[m] = static_cast<uint8_t>(bits >> 8);
    }
  }
};
static constexpr Bf16Bytes kBf16Bytes;

GA_INLINE U load_bytes(const i8 *p, int n) {
  return n < 64 ? _mm512_maskz_loadu_epi8((1ull << n) - 1, p) : _mm512_loadu_si512(p);
}
// 64 whole numbers in bf16, exactly, of each 128 bits the lower eight and the upper eight.
GA_INLINE void widen_bytes(U x, U &low, U &high) {
  const U magnitude = _mm512_abs_epi8(x);
  const U lower = _mm512_permutex2var_epi8(load_units(kBf16Bytes.low), magnitude, load_units(kBf16Bytes.low + 64));
  const U upper = _mm512_maskz_permutex2var_epi8(_mm512_test_epi8_mask(x, x), load_units(kBf16Bytes.high), magnitude,
                                                 load_units(kBf16Bytes.high + 64));
  constexpr int kUpperOrSign = 0xf8;  // a | (b & c)
  const U signed_upper = _mm512_ternarylogic_epi32(upper, x, _mm512_set1_epi8(-128), kUpperOrSign);
  low = _mm512_unpacklo_epi8(lower, signed_upper);
  high = _mm512_unpackhi_epi8(lower, signed_upper);
}
// 64 numbers in bf16, from their order to that of widen_bytes.
GA_INLINE void order_like_bytes(U &a, U &b) {
  const U low = _mm512_shuffle_i32x4(a, b, 0x88);
  b = _mm512_shuffle_i32x4(a, b, 0xdd);
  a = low;
}
// 64 columns of two rows of whole numbers, as pairs: vector v holds four of each 16, from 4 v on. join_byte_columns brings them in order.
GA_INLINE void interleave_bytes(U x, U y, U pairs[4]) {
  widen_bytes(_mm512_unpacklo_epi8(x, y), pairs[0], pairs[1]);
  widen_bytes(_mm512_unpackhi_epi8(x, y), pairs[2], pairs[3]);
}
GA_INLINE void join_byte_columns(F c[4]) {
  const F a = _mm512_shuffle_f32x4(c[0], c[1], 0x44), b = _mm512_shuffle_f32x4(c[0], c[1], 0xee);
  const F d = _mm512_shuffle_f32x4(c[2], c[3], 0x44), e = _mm512_shuffle_f32x4(c[2], c[3], 0xee);
  c[0] = _mm512_shuffle_f32x4(a, d, 0x88);
  c[1] = _mm512_shuffle_f32x4(a, d, 0xdd);
  c[2] = _mm512_shuffle_f32x4(b, e, 0x88);
  c[3] = _mm512_shuffle_f32x4(b, e, 0xdd);
}
#endif

}  // namespace ga::GA_ISA
