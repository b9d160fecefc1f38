// Memory barriers and named barriers; semantics in cuda/ptx/sm90.cuh.
#pragma once

#include <cstdint>

#include "machine.h"

namespace gaemu {

void barrier_init(uint32_t address, int arrivals);
void barrier_init_fence();
void barrier_arrive(uint32_t address, uint32_t expected_bytes);
void barrier_wait(uint32_t address, uint32_t parity);
void barrier_complete(Block &block, uint32_t address, uint32_t bytes);  // by a copy that landed

void sync_threads();
bool sync_threads_or(bool x);
void named_sync(int id, int threads);
void named_arrive(int id, int threads);

// Stores of threads to shared memory, which the copy engine and warpgroup products see after fence_async_proxy alone.
void note_store(uint32_t address, uint32_t bytes);
void async_proxy_fence();
void check_async_read(Block &block, uint32_t address, uint32_t bytes, const char *by);

}  // namespace gaemu
