// Tiles of 16-bit rows in shared memory: how they come from global memory, and values among them that are no numbers.
#pragma once

#include "cuda/forward_mma/tiling.h"
#include "cuda/gate.cuh"
#include "cuda/ptx/sm80.cuh"

namespace ga::cuda::prefill {

// Whether every row of the view begins at a multiple of 16 bytes: such rows are copied by cp.async, others by plain loads.
static GA_ALWAYS_INLINE bool rows_aligned(const View &view) {
  const int64_t bytes = view.element_bytes;
  return ((reinterpret_cast<int64_t>(view.data) | view.batch * bytes | view.sequence * bytes | view.head * bytes) & 15) ==
         0;
}

// Eight elements from where elements may be aligned to their own size only.
static GA_DEVICE Words4 gather(const char *from) {
  const auto *at = reinterpret_cast<const uint16_t *>(from);
  Words4 w;
  GA_UNROLL
  for (int i = 0; i < 4; i++) w.x[i] = at[2 * i] | static_cast<uint32_t>(at[2 * i + 1]) << 16;
  return w;
}

// Which chunks of a tile a thread loads: in columns lane, lane + kLanes, ..., of rows row, row + kPassRows, ... All of them are
// equally far from the first one in shared memory, swizzled or not, and a row's address is found once.
template <class Tile>
struct Share {
  static constexpr int kLanes = Tile::kChunks % 8 == 0 ? 8 : 4, kPassRows = Tile::kThreads / kLanes;
  static_assert(Tile::kChunks % kLanes == 0 && Tile::kKeyBlock % kPassRows == 0);
  static GA_DEVICE int row() { return thread_index() / kLanes; }
  static GA_DEVICE int lane() { return thread_index() % kLanes; }
};

// kRows rows: row_at(r) is where row r begins, nullptr where there is none. Zeros stand for what is missing. Part of a group of
// asynchronous copies, or done on return. anywhere: an address of global memory.
template <class Tile, int kRows, class RowAt>
GA_DEVICE void load_rows(uint32_t tile, int columns, bool aligned, const char *anywhere, RowAt row_at) {
  using Mine = Share<Tile>;
  GA_NO_UNROLL  // its addresses would push accumulators out of their registers
      for (int pass = 0; pass < kRows / Mine::kPassRows; pass++) {
    const int row = Mine::row() + pass * Mine::kPassRows;
    const char *from = row_at(row);
    GA_UNROLL
    for (int group = 0; group < Tile::kChunks / Mine::kLanes; group++) {
      const int chunk = Mine::lane() + group * Mine::kLanes;
      const bool valid = from && 8 * chunk < columns;
      const uint32_t to = tile + Tile::at(row, chunk);
      if (aligned)
        copy_async16(to, valid ? from + 16 * chunk : anywhere, valid);
      else
        store_shared(to, valid ? gather(from + 16 * chunk) : Words4{{0, 0, 0, 0}});
    }
  }
}

// Calls change(address, words) for each chunk that this thread loaded.
template <class Tile, int kRows, class Change>
GA_DEVICE void for_own_chunks(uint32_t tile, Change change) {
  using Mine = Share<Tile>;
  GA_NO_UNROLL
  for (int row = Mine::row(); row < kRows; row += Mine::kPassRows) {
    GA_NO_UNROLL
    for (int chunk = Mine::lane(); chunk < Tile::kChunks; chunk += Mine::kLanes) {
      const uint32_t at = tile + Tile::at(row, chunk);
      change(at, load_shared(at));
    }
  }
}

// NaN and infinities have all bits of the exponent.
template <class T>
constexpr uint32_t kExponent = 0x7f80;
template <>
constexpr uint32_t kExponent<f16> = 0x7c00;

template <class T>
GA_DEVICE bool low_is_no_number(uint32_t pair) {
  return (pair & kExponent<T>) == kExponent<T>;
}
template <class T>
GA_DEVICE bool high_is_no_number(uint32_t pair) {
  return (pair >> 16 & kExponent<T>) == kExponent<T>;
}

}  // namespace ga::cuda::prefill
