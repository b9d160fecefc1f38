// src/cuda/ptx/sm80.cuh on the CPU.
#pragma once

#include "copies.h"
#include "cuda/ptx/math.cuh"
#include "matrix.h"

namespace ga::cuda {

inline void copy_async16(uint32_t to_shared, const void *global, bool valid = true) {
  gaemu::copy_async16(to_shared, global, valid);
}
inline void copy_async_commit() { gaemu::copy_async_commit(); }
template <int N>
void copy_async_wait() {
  gaemu::copy_async_wait(N);
}

inline void load_matrix(uint32_t (&r)[4], uint32_t address) { gaemu::load_matrix(r, address, false); }
inline void load_matrix_transposed(uint32_t (&r)[4], uint32_t address) { gaemu::load_matrix(r, address, true); }

template <typename T>
void mma(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  gaemu::mma(c, a, b0, b1, gaemu::widened<T>());
}
inline void mma_tf32(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) { gaemu::mma_tf32(c, a, b0, b1); }
inline uint32_t to_tf32(float x) {
  const uint32_t u = bits_of(x);
  return x != x || std::isinf(x) ? u : (u + 0x1000U) & 0xffffe000U;
}

}  // namespace ga::cuda
