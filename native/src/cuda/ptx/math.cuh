// Fast f32 functions and conversions of the 16-bit types: T is ga::bf16 or ga::f16, two of them in one 32-bit register.
#pragma once

#include <cmath>
#include <type_traits>

#include "cuda/ptx/thread.cuh"

namespace ga::cuda {

// Within 2 ulp, subnormals flushed to zero.
GA_DEVICE float ex2(float x) {  // 2^x; 0 for -inf
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GA_DEVICE float lg2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GA_DEVICE float rcp(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
GA_DEVICE float rsqrt(float x) {
  float y;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

GA_DEVICE uint32_t bits_of(float x) { return __float_as_uint(x); }
GA_DEVICE float float_of(uint32_t bits) { return __uint_as_float(bits); }

struct Pair {
  float lo, hi;
};

// Rounds to nearest even; f16 overflows to infinity.
template <typename T>
GA_DEVICE uint32_t pack(float lo, float hi) {
  uint32_t u;
  if constexpr (std::is_same_v<T, bf16>)
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(hi), "f"(lo));
  else
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(u) : "f"(hi), "f"(lo));
  return u;
}

template <typename T>
GA_DEVICE Pair unpack(uint32_t u) {
  if constexpr (std::is_same_v<T, bf16>) {
    return {float_of(u << 16), float_of(u & 0xffff0000U)};
  } else {
    Pair p;
    asm("{ .reg .b16 lo, hi;\n mov.b32 {lo, hi}, %2;\n cvt.f32.f16 %0, lo;\n cvt.f32.f16 %1, hi; }"
        : "=f"(p.lo), "=f"(p.hi)
        : "r"(u));
    return p;
  }
}

GA_DEVICE float to_float(float x) { return x; }
GA_DEVICE float to_float(bf16 x) { return float_of(static_cast<uint32_t>(x.bits) << 16); }
GA_DEVICE float to_float(f16 x) {
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
}

template <typename T>
GA_DEVICE T from_float(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return T{static_cast<uint16_t>(pack<T>(x, 0.F))};
}

}  // namespace ga::cuda
