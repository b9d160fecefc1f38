// How tests steer the fake library of the CUDA kernels, whose device is memory of the host: found with dlsym in
// libgatedattention_fake_cuda.so, which offers the table that the real one offers and computes with the CPU's scalar kernels.
#pragma once

#include <cstdint>

extern "C" {

// 0: only what ga_memory_allocate gave is memory of the device; 1: all memory is.
void fake_cuda_trust(int32_t all);
// Bytes of the device; more is out of memory.
void fake_cuda_memory(int64_t bytes);
// The next call on the stream fails the device as an illegal access does.
void fake_cuda_break(int32_t device);
// Repairs all devices: what no real one can do.
void fake_cuda_repair();
// What open says: nullptr for success.
void fake_cuda_refuse(const char *reason);
// Calls of forward, merge and project that arrived, and the stream of the last.
int64_t fake_cuda_calls();
void *fake_cuda_last_stream();
// Memory and streams that are not freed or closed yet.
int64_t fake_cuda_open_handles();
}
