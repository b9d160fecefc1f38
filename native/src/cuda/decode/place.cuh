// Where a block works: which sequence, rows, key/value head and keys are its own.
#pragma once

#include "core/mask.h"
#include "core/sequence.h"
#include "cuda/decode/plan.h"
#include "cuda/ptx/thread.cuh"

namespace ga::cuda::decode {

struct Place {
  Sequence of;
  int kv_head;
  int64_t unit;     // of partial results: slot x kv_heads + kv_head
  int64_t row0;     // the block's first packed row: row r is query r / group, head r % group of its group
  int rows;         // of the block, those included that are only blanked
  bool several;     // its rows do not all see the same keys
  int64_t key0;     // the first key that any row sees
  int keys;         // from there to the last one
  int split, used;  // used: splits that have keys, one at least
  Share tiles;

  GA_DEVICE int64_t query(const Problem &p, int row) const { return (row0 + row) / p.group; }
  GA_DEVICE int64_t head(const Problem &p, int row) const { return kv_head * p.group + (row0 + row) % p.group; }
};

// The beginning of a block's shared memory.
struct Control {
  Place place;
  int sequence;  // of the block's slot
  int last;      // whether the block was the last to arrive
};
static_assert(sizeof(Control) <= kControlBytes);

struct RowKeys {
  int lo, hi;  // counted from the block's first key; empty when lo >= hi
};

GA_DEVICE RowKeys keys_of_row(const Problem &p, const Place &at, int row) {
  const int64_t i = at.query(p, row);
  if (row >= at.rows || i >= at.of.queries) return {0, 0};
  const KeyRange r = visible_keys(p, at.of, i);
  return {static_cast<int>(r.lo - at.key0), static_cast<int>(r.hi - at.key0)};
}

// Packed queries: the sequence whose row blocks include the slot; -1 where there is none. All threads take part.
GA_DEVICE int64_t sequence_of_slot(const Problem &p, int slot, int block_rows, int *shared) {
  if (thread_index() == 0) *shared = -1;
  sync_threads();
  for (int64_t b = thread_index(); b < p.batch; b += thread_count()) {
    const int64_t begin = clamped(length_at(p.cu_seqlens_q, b), 0, p.seq_q) * p.group;
    const int64_t end = clamped(length_at(p.cu_seqlens_q, b + 1), 0, p.seq_q) * p.group;
    if (first_slot(begin, b, block_rows) <= slot && slot < first_slot(end, b + 1, block_rows))
      *shared = static_cast<int>(b);
  }
  sync_threads();
  return *shared;
}

// False when the block has nothing to do. block: its number in the launch.
GA_DEVICE bool find_place(const Arguments &a, const Geometry &g, int block, int *shared, Place &at) {
  const Problem &p = a.p;
  at.split = block % a.splits;
  at.unit = block / a.splits;
  at.kv_head = static_cast<int>(at.unit % p.heads_kv);
  const int slot = static_cast<int>(at.unit / p.heads_kv);
  int64_t b, row_block;
  if (p.cu_seqlens_q.data) {
    b = sequence_of_slot(p, slot, g.block_rows(), shared);
    if (b < 0) return false;
    at.of = sequence_of(p, b);
    row_block = slot - first_slot(at.of.query_row * p.group, b, g.block_rows());
  } else {
    b = slot / a.row_blocks;
    row_block = slot % a.row_blocks;
    at.of = sequence_of(p, b);
  }
  const int64_t live_rows = at.of.queries * p.group, all_rows = (at.of.queries + at.of.padding) * p.group;
  at.row0 = row_block * g.block_rows();
  if (at.row0 >= all_rows) return false;
  at.rows = static_cast<int>(all_rows - at.row0 < g.block_rows() ? all_rows - at.row0 : g.block_rows());

  at.keys = 0;
  at.key0 = 0;
  at.several = false;
  if (at.row0 < live_rows) {
    const int64_t last_row = at.row0 + at.rows < live_rows ? at.row0 + at.rows - 1 : live_rows - 1;
    const KeyRange first = visible_keys(p, at.of, at.row0 / p.group), last = visible_keys(p, at.of, last_row / p.group);
    at.several = first.lo != last.lo || first.hi != last.hi;
    at.key0 = first.lo;
    at.keys = last.hi > first.lo ? static_cast<int>(last.hi - first.lo) : 0;
  }
  const int tiles = (at.keys + g.tile_keys - 1) / g.tile_keys;
  at.used = used_splits(tiles, a.splits) > 1 ? used_splits(tiles, a.splits) : 1;
  at.tiles = share_of(tiles, a.splits, at.split);
  return at.split < at.used;
}

}  // namespace ga::cuda::decode
