// The small element types, as plain storage. Arithmetic on them happens in f32 (src/cpu/simd).
#pragma once

#include <cstdint>

// Every function that a kernel file includes from here is forced inline: an out-of-line copy compiled for one
// instruction set could be the one that the linker keeps for all.
#ifdef __CUDACC__
#define GA_ALWAYS_INLINE __host__ __device__ __forceinline__
#else
#define GA_ALWAYS_INLINE inline __attribute__((always_inline))
#endif

namespace ga {

struct bf16 {
  uint16_t bits;
};

struct f16 {
  uint16_t bits;
};

// A whole number that a scale turns into a value.
struct i8 {
  int8_t bits;
};

static constexpr GA_ALWAYS_INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static constexpr GA_ALWAYS_INLINE int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

}  // namespace ga
