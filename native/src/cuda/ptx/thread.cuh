// What a kernel sees of its place in the launch, of its neighbors and of memory. native/test/emulator/cuda/ptx has the same
// functions for the CPU, so kernels use these and nothing of CUDA's own names.
#pragma once

#include <cstdint>

#include "core/number.h"

#define GA_DEVICE __device__ __forceinline__
#define GA_UNROLL _Pragma("unroll")
#define GA_NO_UNROLL _Pragma("unroll 1")
// GA_KERNEL(threads per block, blocks per multiprocessor) name(GA_PARAMETER Arguments a) { ... }
#define GA_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define GA_PARAMETER const __grid_constant__

namespace ga::cuda {

// Launches are one-dimensional.
GA_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
GA_DEVICE int thread_count() { return static_cast<int>(blockDim.x); }
GA_DEVICE int block_index() { return static_cast<int>(blockIdx.x); }
GA_DEVICE int block_count() { return static_cast<int>(gridDim.x); }
GA_DEVICE int lane_index() { return static_cast<int>(threadIdx.x % 32); }
GA_DEVICE int warp_index() { return static_cast<int>(threadIdx.x / 32); }

// The block's shared memory, all of it: kernels lay it out themselves. Holds NaN patterns at first in the emulator.
GA_DEVICE uint8_t *shared_memory() {
  extern __shared__ __align__(1024) uint8_t bytes[];
  return bytes;
}
GA_DEVICE uint32_t shared_address(const void *p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

GA_DEVICE void sync_threads() { __syncthreads(); }
GA_DEVICE void sync_warp() { __syncwarp(); }
// True in every thread of the block where it is in any.
GA_DEVICE bool sync_threads_or(bool x) { return __syncthreads_or(x); }

// All 32 lanes take part in each of these.
template <typename T>
GA_DEVICE T shuffle(T x, int lane) {
  return __shfl_sync(0xffffffffU, x, lane);
}
template <typename T>
GA_DEVICE T shuffle_xor(T x, int mask) {
  return __shfl_xor_sync(0xffffffffU, x, mask);
}
template <typename T>
GA_DEVICE T shuffle_up(T x, int by) {  // lanes below by keep their own
  return __shfl_up_sync(0xffffffffU, x, by);
}
template <typename T>
GA_DEVICE T shuffle_down(T x, int by) {  // lanes from 32 - by on keep their own
  return __shfl_down_sync(0xffffffffU, x, by);
}
GA_DEVICE uint32_t ballot(bool x) { return __ballot_sync(0xffffffffU, x); }
GA_DEVICE bool any(bool x) { return __any_sync(0xffffffffU, x); }

// Relaxed, of the whole device; the old value is returned. Pair them with fence_device(): write, fence, add - and in
// whoever saw the last count: fence, read.
GA_DEVICE uint32_t atomic_add(uint32_t *at, uint32_t x) { return atomicAdd(at, x); }
GA_DEVICE int atomic_add(int *at, int x) { return atomicAdd(at, x); }
GA_DEVICE float atomic_add(float *at, float x) { return atomicAdd(at, x); }
GA_DEVICE uint32_t atomic_exchange(uint32_t *at, uint32_t x) { return atomicExch(at, x); }
GA_DEVICE uint32_t atomic_max(uint32_t *at, uint32_t x) { return atomicMax(at, x); }
GA_DEVICE void fence_device() { __threadfence(); }

// 16 bytes: what one thread moves at best.
struct alignas(16) Words4 {
  uint32_t x[4];
};

// Global memory. Cached: what other threads read again. Streamed: what is read once, past L1. Volatile: what another block
// wrote in this launch (after a fence).
GA_DEVICE Words4 load_cached(const Words4 *p) {
  Words4 w;
  asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.x[0]), "=r"(w.x[1]), "=r"(w.x[2]), "=r"(w.x[3])
               : "l"(p));
  return w;
}
GA_DEVICE Words4 load_streamed(const Words4 *p) {
  Words4 w;
  asm volatile("ld.global.L1::no_allocate.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.x[0]), "=r"(w.x[1]), "=r"(w.x[2]), "=r"(w.x[3])
               : "l"(p));
  return w;
}
GA_DEVICE float load_volatile(const float *p) { return *static_cast<const volatile float *>(p); }
GA_DEVICE uint32_t load_volatile(const uint32_t *p) { return *static_cast<const volatile uint32_t *>(p); }
GA_DEVICE Words4 load_volatile(const Words4 *p) {
  Words4 w;
  asm volatile("ld.volatile.global.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.x[0]), "=r"(w.x[1]), "=r"(w.x[2]), "=r"(w.x[3])
               : "l"(p)
               : "memory");
  return w;
}
GA_DEVICE void store_global(Words4 *p, const Words4 &w) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(p), "r"(w.x[0]), "r"(w.x[1]), "r"(w.x[2]), "r"(w.x[3])
               : "memory");
}

// Shared memory by address. A store that tensor cores or the copy engine read next needs fence_async_proxy (sm90.cuh).
GA_DEVICE Words4 load_shared(uint32_t address) {
  Words4 w;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.x[0]), "=r"(w.x[1]), "=r"(w.x[2]), "=r"(w.x[3])
               : "r"(address)
               : "memory");
  return w;
}
GA_DEVICE void store_shared(uint32_t address, const Words4 &w) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(w.x[0]), "r"(w.x[1]), "r"(w.x[2]),
               "r"(w.x[3])
               : "memory");
}

}  // namespace ga::cuda
