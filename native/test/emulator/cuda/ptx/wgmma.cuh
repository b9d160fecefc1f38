// src/cuda/ptx/wgmma.cuh on the CPU.
#pragma once

#include "cuda/ptx/sm90.cuh"

namespace ga::cuda {

inline void wgmma_fence() {}
inline void wgmma_commit() { gaemu::wgmma_commit(); }
template <int N>
void wgmma_wait() {
  gaemu::wgmma_wait(N);
}
template <int R>
void wgmma_results(float (&)[R]) {}

template <int Swizzle>
uint64_t wgmma_operand(uint32_t address, uint32_t chunk_bytes) {
  static_assert(Swizzle == 128 || Swizzle == 64);
  constexpr uint32_t group_bytes = 8 * Swizzle;
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | static_cast<uint64_t>(chunk_bytes >> 4) << 16 |
         static_cast<uint64_t>(group_bytes >> 4) << 32 | (Swizzle == 128 ? 1ULL : 2ULL) << 62;
}

template <typename T, int N, bool TransposeB>
struct Wgmma {
  static void shared_shared(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
    issue(d, nullptr, a, b, accumulate);
  }
  static void registers_shared(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate) {
    issue(d, a, 0, b, accumulate);
  }

 private:
  static void issue(float *d, const uint32_t *registers, uint64_t a, uint64_t b, bool accumulate) {
    gaemu::Product product;
    product.n = N;
    product.transposed = TransposeB;
    product.accumulate = accumulate;
    product.widened = gaemu::widened<T>();
    product.a = a;
    product.b = b;
    gaemu::wgmma_issue(product, d, registers);
  }
};

}  // namespace ga::cuda
