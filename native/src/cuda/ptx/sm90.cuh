// Instructions of compute capability 9.0a: memory barriers, the copy engine (TMA), registers moved between warpgroups.
// The products of a warpgroup are in wgmma.cuh.
#pragma once

#include <cuda.h>  // CUtensorMap; nothing is linked

#include "cuda/ptx/sm80.cuh"

namespace ga::cuda {

// --- Memory barriers: 8 bytes of shared memory. A phase ends when all arrivals came and all announced bytes landed.

using Barrier = uint64_t;

GA_DEVICE void barrier_init(Barrier *b, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
}
// Makes barriers that this thread initialized visible to the copy engine; other threads see them after sync_threads.
GA_DEVICE void fence_barrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
GA_DEVICE void barrier_arrive(Barrier *b) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
}
// Arrives and announces bytes that copies bring.
GA_DEVICE void barrier_arrive_expect(Barrier *b, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes) : "memory");
}
// Returns once the phase of this parity has ended: phases are 0, 1, 0, ... from the first on.
GA_DEVICE void barrier_wait(Barrier *b, uint32_t parity) {
  asm volatile(
      "{\n.reg .pred done;\nwait:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra wait;\n}" ::"r"(shared_address(b)),
      "r"(parity)
      : "memory");
}

// --- Named barriers 1 to 15 between some warps of a block (0 is sync_threads). threads counts those that sync and arrive.

GA_DEVICE void named_sync(int id, int threads) { asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory"); }
GA_DEVICE void named_arrive(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// --- Registers per thread of a warpgroup. Taken effect only in kernels with launch bounds.

template <int N>
GA_DEVICE void registers_up() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
GA_DEVICE void registers_down() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// --- stmatrix: the reverse of load_matrix.

GA_DEVICE void store_matrix(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address), "r"(r[0]), "r"(r[1]),
               "r"(r[2]), "r"(r[3])
               : "memory");
}

// What this thread stored to shared memory is visible to tensor cores and the copy engine (in other threads: after a barrier).
GA_DEVICE void fence_async_proxy() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// --- The copy engine. A tile is a box of a tensor map with axes {dim, row, head, batch}; what lies outside of the tensor
// reads as zero and is not written.

using TensorMap = CUtensorMap;

GA_DEVICE void prefetch_tensor_map(const TensorMap *map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}
// One thread; completes bytes on the barrier.
GA_DEVICE void tile_load(uint32_t to_shared, const TensorMap *map, Barrier *b, int dim, int row, int head, int batch) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
      "[%2];" ::"r"(to_shared),
      "l"(map), "r"(shared_address(b)), "r"(dim), "r"(row), "r"(head), "r"(batch)
      : "memory");
}
GA_DEVICE void tile_store(const TensorMap *map, uint32_t from_shared, int dim, int row, int head, int batch) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(map),
               "r"(from_shared), "r"(dim), "r"(row), "r"(head), "r"(batch)
               : "memory");
}
GA_DEVICE void tile_store_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
// All but the last N groups of this thread have read their shared memory, which may be used again.
template <int N>
GA_DEVICE void tile_store_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(N) : "memory");
}
// All but the last N groups of this thread are written.
template <int N>
GA_DEVICE void tile_store_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(N) : "memory");
}

}  // namespace ga::cuda
