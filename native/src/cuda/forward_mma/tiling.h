// How large the tiles of the mma kernels are, where they lie in shared memory, and which block computes which.
//
// Shared memory of a block:
//   queries   [kQueryBlock][kDim]                16 bits, swizzled; the output leaves through it
//   ring      [kSlots][kKeyBlock][kDim]          likewise: K0 V0 K1 V1 ... and, last, the gate
//   positions [kQueryBlock], place, scores         which query each row is; what all threads ask for now and then
// Rows of queries are packed: row r of a key/value head is position r / group, query head r % group of it.
#pragma once

#include "core/sequence.h"

namespace ga::cuda::prefill {

// The block's rows of packed queries: [row0, row0 + query_block) of one key/value head of a sequence, as far as they exist.
struct Place {
  Sequence of;
  int32_t head, row0, rows;    // row0 + rows: the end of those that exist, padding included; rows <= 0: nothing to do
  int32_t first_key, end_key;  // some row may see keys [first_key, end_key)
  int32_t all_first, all_end;  // every row of the block sees keys [all_first, all_end)
  int32_t keys, lo_shift, hi_shift;
};

// core/mask.h in a few 32-bit instructions: which of the keys [first, first + n) query i of the sequence sees, counted from first.
// A position of kNoQuery sees none.
struct Seen {
  int32_t lo, hi;
};
constexpr int32_t kNoQuery = INT32_MIN;
static GA_ALWAYS_INLINE int32_t limited(int32_t x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }
static GA_ALWAYS_INLINE Seen seen_keys(const Place &at, int32_t i, int32_t first, int32_t n) {
  const int32_t lo = limited(i + at.lo_shift, 0, at.keys), hi = limited(i + at.hi_shift, 0, at.keys);
  return {limited(lo - first, 0, n), limited(hi - first, 0, n)};
}

// Columns of K and V beyond head_dim and head_dim_v are zeros: kDim is the larger of the two, rounded up to a kernel that exists.
template <int kDim_>
struct Tiling {
  static constexpr int kDim = kDim_;
  static constexpr int kWarps = 4, kThreads = 32 * kWarps;
  static constexpr int kRowTiles = kDim <= 128 ? 2 : 1;  // of 16 rows, per warp: two share each fragment of K and V
  static constexpr int kWarpRows = 16 * kRowTiles, kQueryBlock = kWarps * kWarpRows;
  static constexpr int kKeyBlock = kDim <= 64 ? 64 : 32;  // more, and scores would push Y out of the registers
  static constexpr int kSlots = kDim <= 64 ? 4 : kDim <= 128 ? 5 : 3;
  static constexpr int kGateTiles = kQueryBlock / kKeyBlock;  // slots that the gate of the block takes

  static constexpr int kChunks = kDim / 8;  // of 16 bytes, per row
  static constexpr int kRowBytes = 2 * kDim;
  static constexpr int kQueryBytes = kQueryBlock * kRowBytes, kSlotBytes = kKeyBlock * kRowBytes;
  static constexpr int kRingAt = kQueryBytes, kPositionsAt = kRingAt + kSlots * kSlotBytes;
  static constexpr int kPlaceAt = kPositionsAt + 4 * kQueryBlock;
  static constexpr int kScoresAt = kPlaceAt + static_cast<int>(sizeof(Place));
  static constexpr int kSharedBytes = kScoresAt + 16;
  // The end of a row that is more than a factor goes through f32 rows over queries and ring; the factor lies behind each.
  static constexpr int kStagingStride = kDim + 8;

  // Where a chunk of a tile's row lies, in bytes from the tile. Eight rows of one chunk, which ldmatrix and the accumulators'
  // threads touch together, are in eight different groups of banks.
  static GA_ALWAYS_INLINE constexpr int at(int row, int chunk) {
    return row * kRowBytes + (chunk ^ (kChunks % 8 == 0 ? row & 7 : row >> 1 & 3)) * 16;
  }
};

template <int kDim>
constexpr bool banks_differ() {
  using T = Tiling<kDim>;
  for (int first = 0; first < T::kQueryBlock; first += 8)
    for (int chunk = 0; chunk < T::kChunks; chunk++) {
      unsigned groups = 0;
      for (int row = first; row < first + 8; row++) {
        const int at = T::at(row, chunk);
        if (at < row * T::kRowBytes || at >= (row + 1) * T::kRowBytes) return false;
        groups |= 1u << (at / 16 % 8);
      }
      if (groups != 0xff) return false;
    }
  return true;
}

template <int kDim>
constexpr bool fits() {
  using T = Tiling<kDim>;
  return banks_differ<kDim>() && T::kDim % 32 == 0 && T::kQueryBlock % T::kKeyBlock == 0 &&
         T::kGateTiles <= T::kSlots - 1 &&  // all of them are on their way when the last keys are multiplied
         T::kQueryBlock * T::kStagingStride * 4 <= T::kPositionsAt && T::kPlaceAt % 8 == 0 &&
         T::kSharedBytes <= 99 * 1024 &&              // 8.6, 8.9, 12.0
         2 * (T::kSharedBytes + 1024) <= 164 * 1024;  // two blocks on a multiprocessor of 8.0
}
static_assert(fits<64>() && fits<96>() && fits<128>() && fits<192>() && fits<256>());

// ---- which block computes what

// Blocks of a launch. Late rows see most keys, so they go first; all heads of a row block side by side, but no more heads at a time
// than whose keys and values stay in the L2 cache.
struct Tasks {
  int64_t count;
  int32_t query_blocks;    // of every sequence; packed queries: 0
  int32_t heads_together;  // key/value heads, counted over the batch; packed queries: 0
};

struct Task {
  int32_t batch, head, block;  // block: of packed rows of the sequence
};

static GA_ALWAYS_INLINE constexpr Task task_of(const Tasks &tasks, int64_t pairs, int32_t heads_kv, int64_t n) {
  const int64_t section = n / (static_cast<int64_t>(tasks.heads_together) * tasks.query_blocks);
  const int64_t first = section * tasks.heads_together, left = pairs - first;
  const int64_t together = left < tasks.heads_together ? left : tasks.heads_together;
  const int64_t rest = n - first * tasks.query_blocks, pair = first + rest % together;
  return {static_cast<int32_t>(pair / heads_kv), static_cast<int32_t>(pair % heads_kv),
          static_cast<int32_t>(tasks.query_blocks - 1 - rest / together)};
}

// Every (batch, head, block) comes exactly once, late blocks of a head before early ones.
constexpr bool covers(int32_t batch, int32_t heads_kv, int32_t blocks, int32_t together) {
  bool seen[64] = {};
  int32_t last[64] = {};
  for (int32_t &x : last) x = blocks;
  const Tasks tasks = {static_cast<int64_t>(batch) * heads_kv * blocks, blocks, together};
  for (int64_t n = 0; n < tasks.count; n++) {
    const Task t = task_of(tasks, static_cast<int64_t>(batch) * heads_kv, heads_kv, n);
    const int32_t pair = t.batch * heads_kv + t.head, at = pair * blocks + t.block;
    if (t.batch >= batch || t.head >= heads_kv || t.block < 0 || seen[at] || t.block >= last[pair]) return false;
    seen[at] = true;
    last[pair] = t.block;
  }
  return true;
}
static_assert(covers(1, 1, 1, 1) && covers(3, 2, 5, 4) && covers(2, 5, 3, 10) && covers(5, 3, 4, 1) &&
              covers(2, 4, 8, 3));

// Packed queries: nobody but the device knows where sequences begin. Of one head, blocks [first_block(b), first_block(b + 1)) are
// those of sequence b: as many as it may need, whatever the lengths, and never more than rows / kQueryBlock + batch in all.
static GA_ALWAYS_INLINE constexpr int64_t first_block(int64_t row, int64_t group, int64_t query_block, int64_t b) {
  return row * group / query_block + b;
}
constexpr bool blocks_suffice(int64_t group, int64_t query_block) {
  for (int64_t row = 0; row < 3 * query_block; row += 5)
    for (int64_t rows = 0; rows < 3 * query_block; rows += 7)
      if (first_block(row + rows, group, query_block, 1) - first_block(row, group, query_block, 0) <
          (rows * group + query_block - 1) / query_block)
        return false;
  return true;
}
static_assert(blocks_suffice(1, 64) && blocks_suffice(3, 64) && blocks_suffice(7, 32));

}  // namespace ga::cuda::prefill
