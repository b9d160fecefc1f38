// src/cuda/ptx/sm90.cuh on the CPU.
#pragma once

#include "cuda/ptx/sm80.cuh"

namespace ga::cuda {

using Barrier = uint64_t;

inline void barrier_init(Barrier *b, int arrivals) { gaemu::barrier_init(shared_address(b), arrivals); }
inline void fence_barrier_init() { gaemu::barrier_init_fence(); }
inline void barrier_arrive(Barrier *b) { gaemu::barrier_arrive(shared_address(b), 0); }
inline void barrier_arrive_expect(Barrier *b, uint32_t bytes) { gaemu::barrier_arrive(shared_address(b), bytes); }
inline void barrier_wait(Barrier *b, uint32_t parity) { gaemu::barrier_wait(shared_address(b), parity); }

inline void named_sync(int id, int threads) { gaemu::named_sync(id, threads); }
inline void named_arrive(int id, int threads) { gaemu::named_arrive(id, threads); }

template <int N>
void registers_up() {}
template <int N>
void registers_down() {}

inline void store_matrix(uint32_t address, const uint32_t (&r)[4]) { gaemu::store_matrix(address, r); }
inline void fence_async_proxy() { gaemu::async_proxy_fence(); }

using TensorMap = gaemu::TensorMap;

inline void prefetch_tensor_map(const TensorMap *) {}
inline void tile_load(uint32_t to_shared, const TensorMap *map, Barrier *b, int dim, int row, int head, int batch) {
  gaemu::tile_load(to_shared, *map, shared_address(b), {dim, row, head, batch});
}
inline void tile_store(const TensorMap *map, uint32_t from_shared, int dim, int row, int head, int batch) {
  gaemu::tile_store(*map, from_shared, {dim, row, head, batch});
}
inline void tile_store_commit() { gaemu::tile_store_commit(); }
template <int N>
void tile_store_wait_read() {
  gaemu::tile_store_wait(N);
}
template <int N>
void tile_store_wait() {
  gaemu::tile_store_wait(N);
}

}  // namespace ga::cuda
