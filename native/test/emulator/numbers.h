// The 16-bit types, fast: tables of what the tests' own conversions give.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "core/number.h"
#include "number.h"

namespace gaemu {

inline float float_of(uint32_t u) {
  float x;
  std::memcpy(&x, &u, 4);
  return x;
}
inline uint32_t bits_of(float x) {
  uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}

// What each of the 65536 bit patterns means.
template <typename T>
const float *widened() {
  static const auto table = [] {
    std::array<float, 65536> values{};
    for (uint32_t u = 0; u < 65536; ++u) {
      const auto bits = static_cast<uint16_t>(u);
      values[u] = std::is_same_v<T, ga::bf16> ? gatest::float_of_bf16(bits) : gatest::float_of_f16(bits);
    }
    return values;
  }();
  return table.data();
}
template <typename T>
float widen(T x) {
  return widened<T>()[x.bits];
}
template <typename T>
T narrow(float x) {
  return {std::is_same_v<T, ga::bf16> ? gatest::bf16_of_float(x) : gatest::f16_of_float(x)};
}

inline float flushed(float x) { return std::fabs(x) < 0x1p-126F ? std::copysign(0.F, x) : x; }

}  // namespace gaemu
