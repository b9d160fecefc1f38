// src/cuda/ptx/thread.cuh on the CPU.
#pragma once

#include <cstdint>
#include <cstring>

#include "core/number.h"
#include "machine.h"
#include "synchronize.h"

#define GA_DEVICE inline
#define GA_UNROLL
#define GA_NO_UNROLL
#define GA_KERNEL(threads, blocks) inline void
#define GA_PARAMETER const

namespace ga::cuda {

inline int thread_index() { return gaemu::current->index; }
inline int thread_count() { return static_cast<int>(gaemu::current->block->threads.size()); }
inline int block_index() { return gaemu::current->block->index; }
inline int block_count() { return gaemu::active->blocks; }
inline int lane_index() { return thread_index() % 32; }
inline int warp_index() { return thread_index() / 32; }

inline uint8_t *shared_memory() { return gaemu::current->block->shared; }
inline uint32_t shared_address(const void *p) {
  return static_cast<uint32_t>(static_cast<const uint8_t *>(p) - gaemu::current->block->shared);
}

inline void sync_threads() { gaemu::sync_threads(); }
inline bool sync_threads_or(bool x) { return gaemu::sync_threads_or(x); }
inline void sync_warp() {
  int nothing = 0;
  gaemu::collective("sync_warp", nothing, [](int *const(&)[32]) {});
}

// from(lane): whose value the lane gets.
template <typename T, typename From>
T exchange(const char *operation, T x, From from) {
  gaemu::collective(operation, x, [&](T *const(&all)[32]) {
    T values[32];
    for (int lane = 0; lane < 32; ++lane) values[lane] = *all[lane];
    for (int lane = 0; lane < 32; ++lane) *all[lane] = values[from(lane)];
  });
  return x;
}
template <typename T>
T shuffle(T x, int lane) {
  struct Request {
    T x;
    int lane;
  } mine = {x, lane};
  gaemu::collective("shuffle", mine, [](Request *const(&all)[32]) {
    T values[32];
    for (int i = 0; i < 32; ++i) values[i] = all[i]->x;
    for (int i = 0; i < 32; ++i) all[i]->x = values[all[i]->lane & 31];
  });
  return mine.x;
}
template <typename T>
T shuffle_xor(T x, int mask) {
  return exchange("shuffle_xor", x, [mask](int lane) { return lane ^ mask; });
}
template <typename T>
T shuffle_up(T x, int by) {
  return exchange("shuffle_up", x, [by](int lane) { return lane < by ? lane : lane - by; });
}
template <typename T>
T shuffle_down(T x, int by) {
  return exchange("shuffle_down", x, [by](int lane) { return lane + by > 31 ? lane : lane + by; });
}
inline uint32_t ballot(bool x) {
  uint32_t mine = x;
  gaemu::collective("ballot", mine, [](uint32_t *const(&all)[32]) {
    uint32_t votes = 0;
    for (int lane = 0; lane < 32; ++lane) votes |= *all[lane] << lane;
    for (uint32_t *each : all) *each = votes;
  });
  return mine;
}
inline bool any(bool x) { return ballot(x) != 0; }

// Others may come in between.
template <typename T, typename Change>
T atomic(T *at, Change change) {
  if (gaemu::active->chance(2)) gaemu::yield();
  const T old = *at;
  *at = change(old);
  return old;
}
inline uint32_t atomic_add(uint32_t *at, uint32_t x) {
  return atomic(at, [x](uint32_t old) { return old + x; });
}
inline int atomic_add(int *at, int x) {
  return atomic(at, [x](int old) { return old + x; });
}
inline float atomic_add(float *at, float x) {
  return atomic(at, [x](float old) { return old + x; });
}
inline uint32_t atomic_exchange(uint32_t *at, uint32_t x) {
  return atomic(at, [x](uint32_t) { return x; });
}
inline uint32_t atomic_max(uint32_t *at, uint32_t x) {
  return atomic(at, [x](uint32_t old) { return old > x ? old : x; });
}
inline void fence_device() {}

struct alignas(16) Words4 {
  uint32_t x[4];
};

// Global memory may be misaligned for a GPU alone; the emulator says so.
inline const void *aligned16(const void *p) {
  if (reinterpret_cast<uintptr_t>(p) % 16 != 0) gaemu::fail("an access of 16 bytes at %p, which is not aligned", p);
  return p;
}
inline Words4 load_cached(const Words4 *p) {
  Words4 w;
  std::memcpy(&w, aligned16(p), 16);
  return w;
}
inline Words4 load_streamed(const Words4 *p) { return load_cached(p); }
inline Words4 load_volatile(const Words4 *p) {
  gaemu::yield();
  return load_cached(p);
}
inline float load_volatile(const float *p) {
  gaemu::yield();
  return *p;
}
inline uint32_t load_volatile(const uint32_t *p) {
  gaemu::yield();
  return *p;
}
inline void store_global(Words4 *p, const Words4 &w) { std::memcpy(const_cast<void *>(aligned16(p)), &w, 16); }

inline Words4 load_shared(uint32_t address) {
  Words4 w;
  if (address % 16 != 0) gaemu::fail("load_shared from %u, which is not a multiple of 16", address);
  std::memcpy(&w, gaemu::current->block->at(address, 16), 16);
  return w;
}
inline void store_shared(uint32_t address, const Words4 &w) {
  if (address % 16 != 0) gaemu::fail("store_shared to %u, which is not a multiple of 16", address);
  std::memcpy(gaemu::current->block->at(address, 16), &w, 16);
  gaemu::note_store(address, 16);
}

}  // namespace ga::cuda
