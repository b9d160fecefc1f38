// Four f32 lanes: the Advanced SIMD of every 64-bit Arm processor.
#pragma once

#include <arm_neon.h>

#include "core/number.h"

namespace ga::GA_ISA {

using F = float32x4_t;
using U = int32x4_t;  // 32-bit units: one f32

constexpr int kWidth = 4;
constexpr int kPanelVectors = 4;  // the microkernel's tile: 6 x 4 accumulators of 32 registers
constexpr int kFold = 4;
constexpr int kChainTerms = 32;        // of a score in f32, that one register sums up
constexpr bool kWeighsBeside = false;  // not measured

#define GA_INLINE static inline __attribute__((always_inline))

GA_INLINE F zero() { return vdupq_n_f32(0); }
GA_INLINE F set(float x) { return vdupq_n_f32(x); }
GA_INLINE F load(const float *p) { return vld1q_f32(p); }
GA_INLINE void store(float *p, F x) { vst1q_f32(p, x); }
GA_INLINE uint16x4_t load_half(const void *p) { return vld1_u16(static_cast<const uint16_t *>(p)); }
GA_INLINE F load(const bf16 *p) { return vreinterpretq_f32_u32(vshll_n_u16(load_half(p), 16)); }
GA_INLINE F load(const f16 *p) { return vcvt_f32_f16(vreinterpret_f16_u16(load_half(p))); }
GA_INLINE F load(const i8 *p) {
  int32_t four;
  __builtin_memcpy(&four, p, 4);
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}

// Round to nearest even; a NaN stays a NaN.
GA_INLINE void store(bf16 *p, F x) {
  const uint32x4_t bits = vreinterpretq_u32_f32(x);
  const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
  const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
  vst1_u16(&p->bits, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16));
}
GA_INLINE void store(f16 *p, F x) { vst1_u16(&p->bits, vreinterpret_u16_f16(vcvt_f16_f32(x))); }

GA_INLINE F add(F a, F b) { return vaddq_f32(a, b); }
GA_INLINE F sub(F a, F b) { return vsubq_f32(a, b); }
GA_INLINE F mul(F a, F b) { return vmulq_f32(a, b); }
GA_INLINE F div(F a, F b) { return vdivq_f32(a, b); }
GA_INLINE F fma(F a, F b, F c) { return vfmaq_f32(c, a, b); }   // a * b + c
GA_INLINE F fnma(F a, F b, F c) { return vfmsq_f32(c, a, b); }  // c - a * b
GA_INLINE F min(F a, F b) { return vminq_f32(a, b); }           // NaN where either is
GA_INLINE F max(F a, F b) { return vmaxq_f32(a, b); }           // NaN where either is
GA_INLINE F abs(F a) { return vabsq_f32(a); }
GA_INLINE F select_less(F x, F y, F a, F b) { return vbslq_f32(vcltq_f32(x, y), a, b); }
GA_INLINE bool any_greater(F a, F b) { return vmaxvq_u32(vcgtq_f32(a, b)) != 0; }
GA_INLINE F select_negative(F sign, F a, F b) { return select_less(sign, zero(), a, b); }  // sign < 0 ? a : b
// Lanes [lo, hi) of x, others of the other; lo and hi may lie outside of the vector.
GA_INLINE F keep_range(F x, int lo, int hi, F other) {
  const int32x4_t lane = {0, 1, 2, 3};
  const uint32x4_t keep = vandq_u32(vcgeq_s32(lane, vdupq_n_s32(lo)), vcltq_s32(lane, vdupq_n_s32(hi)));
  return vbslq_f32(keep, x, other);
}
GA_INLINE float reduce_add(F x) { return vaddvq_f32(x); }
GA_INLINE float reduce_max(F x) { return vmaxvq_f32(x); }
constexpr float kLeastExponent = -126;                                   // of 2^x
GA_INLINE F clamp_exponent(F x) { return max(set(kLeastExponent), x); }  // this order keeps a NaN
GA_INLINE F fraction(F x) { return sub(x, vrndmq_f32(x)); }
GA_INLINE F scale_by_power(F p, F x) {  // p * 2^floor(x) for x in [-126, 127]; NaN converts to 0
  return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtmq_s32_f32(x), 23)));
}
GA_INLINE F reciprocal(F x) { return div(set(1.0f), x); }
GA_INLINE F reciprocal_estimate(F x) { return reciprocal(x); }
GA_INLINE F reciprocal_sqrt(F x) { return div(set(1.0f), vsqrtq_f32(x)); }

// Lane i of the result is the sum of all lanes of a[i].
GA_INLINE F fold(const F a[4]) { return vpaddq_f32(vpaddq_f32(a[0], a[1]), vpaddq_f32(a[2], a[3])); }
GA_INLINE F join(const F u[1]) { return u[0]; }

GA_INLINE U load_units(const void *p) { return vld1q_s32(static_cast<const int32_t *>(p)); }
GA_INLINE U zero_units() { return vdupq_n_s32(0); }
GA_INLINE void store_units(void *p, U x) { vst1q_s32(static_cast<int32_t *>(p), x); }
GA_INLINE U broadcast_unit(const int32_t *p) { return vld1q_dup_s32(p); }
GA_INLINE U as_units(F x) { return vreinterpretq_s32_f32(x); }
GA_INLINE F as_floats(U x) { return vreinterpretq_f32_s32(x); }

GA_INLINE void keep(U &x) { __asm__("" : "+w"(x)); }

GA_INLINE void transpose(U r[4]) {
  const int32x4_t a = vtrn1q_s32(r[0], r[1]), b = vtrn2q_s32(r[0], r[1]);
  const int32x4_t c = vtrn1q_s32(r[2], r[3]), d = vtrn2q_s32(r[2], r[3]);
  const auto wide = [](int32x4_t x) { return vreinterpretq_s64_s32(x); };
  const auto narrow = [](int64x2_t x) { return vreinterpretq_s32_s64(x); };
  r[0] = narrow(vtrn1q_s64(wide(a), wide(c)));
  r[1] = narrow(vtrn1q_s64(wide(b), wide(d)));
  r[2] = narrow(vtrn2q_s64(wide(a), wide(c)));
  r[3] = narrow(vtrn2q_s64(wide(b), wide(d)));
}

#include "cpu/simd/whole_vectors.h"

}  // namespace ga::GA_ISA
