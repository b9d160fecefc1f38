// Copies that run beside the program: cp.async of 16 bytes, and the copy engine's tiles.
#pragma once

#include <cstdint>

#include "machine.h"

namespace gaemu {

// What cuTensorMapEncodeTiled makes of its arguments. Axes {dim, row, head, batch}.
struct alignas(64) TensorMap {
  char *data = nullptr;
  int32_t element_bytes = 2;
  int32_t swizzle_bytes = 128;  // 0: none; else as long as a row of the box
  int64_t extent[4] = {};
  int64_t stride_bytes[4] = {};
  int32_t box[4] = {};
};

void copy_async16(uint32_t to, const void *from, bool valid);
void copy_async_commit();
void copy_async_wait(int groups_left);

void tile_load(uint32_t to, const TensorMap &map, uint32_t barrier, const int (&origin)[4]);
void tile_store(const TensorMap &map, uint32_t from, const int (&origin)[4]);
void tile_store_commit();
void tile_store_wait(int groups_left);

// The address within rows of 128 or 64 swizzled bytes; shared memory itself starts at a multiple of 1024.
inline uint32_t swizzled(uint32_t address, int swizzle_bytes) {
  if (swizzle_bytes == 128) return address ^ (address >> 7 & 7U) << 4;
  if (swizzle_bytes == 64) return address ^ (address >> 7 & 3U) << 4;
  return address;
}

}  // namespace gaemu
