// src/cuda/ptx/math.cuh on the CPU.
#pragma once

#include <cmath>
#include <type_traits>

#include "cuda/ptx/thread.cuh"
#include "numbers.h"

namespace ga::cuda {

using gaemu::bits_of;
using gaemu::float_of;

inline float ex2(float x) { return gaemu::flushed(std::exp2(gaemu::flushed(x))); }
inline float lg2(float x) { return std::log2(gaemu::flushed(x)); }
inline float rcp(float x) { return gaemu::flushed(1 / gaemu::flushed(x)); }
inline float rsqrt(float x) { return 1 / std::sqrt(gaemu::flushed(x)); }

struct Pair {
  float lo, hi;
};
template <typename T>
uint32_t pack(float lo, float hi) {
  return gaemu::narrow<T>(lo).bits | static_cast<uint32_t>(gaemu::narrow<T>(hi).bits) << 16;
}
template <typename T>
Pair unpack(uint32_t u) {
  return {gaemu::widened<T>()[u & 0xffff], gaemu::widened<T>()[u >> 16]};
}

inline float to_float(float x) { return x; }
inline float to_float(bf16 x) { return gaemu::widen(x); }
inline float to_float(f16 x) { return gaemu::widen(x); }
template <typename T>
T from_float(float x) {
  if constexpr (std::is_same_v<T, float>)
    return x;
  else
    return gaemu::narrow<T>(x);
}

}  // namespace ga::cuda
