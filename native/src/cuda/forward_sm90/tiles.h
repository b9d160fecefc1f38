// How a call is cut into tiles of query rows, and in which order blocks of a persistent grid take them.
#pragma once

#include "core/mask.h"
#include "core/number.h"
#include "core/sequence.h"

namespace ga::cuda::sm90 {

// Shared memory of a block: the Q tile, then a ring of slots that each hold a tile of K or V, or 64 rows of the gate.
struct Shape {
  int head_dim, key_block, slots;

  static constexpr int query_block = 128, warpgroup_rows = 64;
  // Rows of a tile lie in chunks of as many columns as one swizzled row holds.
  GA_ALWAYS_INLINE constexpr int row_bytes() const { return head_dim % 64 == 0 ? 128 : 64; }
  GA_ALWAYS_INLINE constexpr int chunk_columns() const { return row_bytes() / 2; }
  GA_ALWAYS_INLINE constexpr int chunks() const { return head_dim / chunk_columns(); }
  GA_ALWAYS_INLINE constexpr int slot_bytes() const { return key_block * head_dim * 2; }
  GA_ALWAYS_INLINE constexpr int query_bytes() const { return query_block * head_dim * 2; }
  GA_ALWAYS_INLINE constexpr int barriers_at() const { return query_bytes() + slots * slot_bytes(); }
  GA_ALWAYS_INLINE constexpr int tiles_at() const { return barriers_at() + 8 * (2 * slots + 2); }
  GA_ALWAYS_INLINE constexpr int shared_bytes() const { return tiles_at() + 4 * 64; }
};

// Registers of a thread hold key_block / 2 scores, half as many packed probabilities and head_dim / 2 outputs.
GA_ALWAYS_INLINE constexpr Shape shape_of(int head_dim) {
  return head_dim <= 64    ? Shape{head_dim, 128, 8}
         : head_dim <= 96  ? Shape{head_dim, 128, 8}
         : head_dim <= 128 ? Shape{head_dim, 128, 6}
         : head_dim <= 192 ? Shape{head_dim, 96, 4}
                           : Shape{head_dim, 80, 4};
}

constexpr bool fits(Shape s) {
  return s.head_dim % s.chunk_columns() == 0 && s.key_block % 16 == 0 && s.key_block >= Shape::warpgroup_rows &&
         s.slots >= 4 && s.key_block * s.row_bytes() % 1024 == 0 && s.shared_bytes() <= 227 * 1024 &&
         s.key_block / 2 + s.key_block / 4 + s.head_dim / 2 <= 200;
}
static_assert(fits(shape_of(64)) && fits(shape_of(96)) && fits(shape_of(128)) && fits(shape_of(192)) &&
              fits(shape_of(256)));

// The order of tiles. A section is as many heads (of any sequence) as have their keys and values in the L2 cache together; in it
// the last rows come first, which see the most keys under a causal mask.
struct Work {
  int32_t query_blocks;  // of a sequence; of all sequences of a packed batch together, at most
  int32_t batch, heads;
  int32_t section;  // pairs of sequence and head
  bool packed;

  GA_ALWAYS_INLINE constexpr int64_t tiles() const {
    return static_cast<int64_t>(query_blocks) * (packed ? 1 : batch) * heads;
  }
};

struct Place {
  int32_t batch, head, block;
};

// Of tile t. In a packed batch: batch is 0 and block counts through all sequences.
GA_ALWAYS_INLINE constexpr Place place_of(const Work &w, int32_t t) {
  if (w.packed) return {0, t % w.heads, t / w.heads};
  const int32_t first = t / (w.section * w.query_blocks) * w.section, rest = t - first * w.query_blocks;
  const int32_t left = w.batch * w.heads - first, size = left < w.section ? left : w.section;
  const int32_t pair = first + rest % size;
  return {pair / w.heads, pair % w.heads, w.query_blocks - 1 - rest / size};
}

// The tile that block takes in a round: back and forth, so that no block gets the longest of each round.
GA_ALWAYS_INLINE constexpr int64_t claim(int32_t round, int32_t block, int32_t blocks) {
  return static_cast<int64_t>(round) * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
}

constexpr bool covers_once(const Work &w) {
  bool seen[64] = {};
  for (int32_t t = 0; t < w.tiles(); ++t) {
    const Place p = place_of(w, t);
    const int32_t n = (p.batch * w.heads + p.head) * w.query_blocks + p.block;
    if (n < 0 || n >= w.tiles() || seen[n]) return false;
    seen[n] = true;
  }
  return true;
}
static_assert(covers_once({3, 2, 4, 3, false}) && covers_once({1, 5, 2, 10, false}) && covers_once({7, 1, 3, 1, false}));
static_assert(covers_once({5, 9, 3, 1, true}));
static_assert(claim(0, 2, 5) == 2 && claim(1, 2, 5) == 7 && claim(1, 0, 5) == 9 && claim(3, 4, 5) == 15);

// 128 query rows of one head, and the keys that any of them sees. Row and key numbers count from the sequence's first.
struct alignas(16) Tile {
  int32_t head, query_entry, query_row;  // query_row: of the tile's first row, on the sequence axis of q and out
  int32_t first;                         // the tile's first row
  int32_t rows;                          // of the tile that attend; 0 or less: none
  int32_t blank;                         // and rows after them that are padding; -1: there are no more tiles
  int32_t key_entry, key_row, keys;
  int32_t diagonal;              // row i stands on key i + diagonal
  int32_t key_lo, key_hi;        // keys that some row sees
  int32_t from, to;              // key blocks [from, to), at least one where rows > 0
  int32_t plain_from, plain_to;  // and those of them that every row sees all keys of
};
static_assert(sizeof(Tile) == 64);

// Windows as 32-bit numbers that no sum with rows and keys overflows: extents are below 2^29 here.
struct Window {
  int32_t left, right;
  GA_ALWAYS_INLINE int32_t lo(int32_t row, const Tile &t) const {
    const int32_t lo = row + t.diagonal - left;
    return lo < 0 ? 0 : lo > t.keys ? t.keys : lo;
  }
  GA_ALWAYS_INLINE int32_t hi(int32_t row, const Tile &t) const {
    const int32_t hi = row + t.diagonal + right + 1;
    return hi < 0 ? 0 : hi > t.keys ? t.keys : hi;
  }
};
static GA_ALWAYS_INLINE Window window_of(const Problem &p) {
  constexpr int64_t kWide = 1 << 30;
  const int64_t left = p.window_left, right = p.window_right;
  return {static_cast<int32_t>(left < 0 || left > kWide ? kWide : left),
          static_cast<int32_t>(right < 0 || right > kWide - 1 ? kWide - 1 : right)};
}

// Finds the tiles of one block, each in turn.
class Tiles {
 public:
  GA_ALWAYS_INLINE Tiles(const Problem &p, const Work &w, int32_t key_block, int32_t block, int32_t blocks)
      : p_(p), w_(w), key_block_(key_block), block_(block), blocks_(blocks) {}

  // False after the last one.
  GA_ALWAYS_INLINE bool next(Tile &tile) {
    for (;; ++round_) {
      const int64_t t = claim(round_, block_, blocks_);
      if (static_cast<int64_t>(round_) * blocks_ >= w_.tiles()) return false;
      if (t >= w_.tiles()) continue;
      Place place = place_of(w_, static_cast<int32_t>(t));
      if (w_.packed && !find_sequence(place)) continue;
      ++round_;
      describe(place, tile);
      return true;
    }
  }

 private:
  // In a packed batch, of block number place.block of all sequences. Blocks come in ascending order: the search goes on where it
  // was.
  GA_ALWAYS_INLINE bool find_sequence(Place &place) {
    for (; sequence_ < w_.batch; ++sequence_) {
      const auto blocks = static_cast<int32_t>(ceil_div(sequence_of(p_, sequence_).queries, Shape::query_block));
      if (place.block < before_ + blocks) {
        place = {sequence_, place.head, before_ + blocks - 1 - place.block};  // longest first within a sequence
        return true;
      }
      before_ += blocks;
    }
    return false;
  }

  // In an order that keeps few numbers alive: t may lie in shared memory.
  GA_ALWAYS_INLINE void describe(const Place &place, Tile &t) const {
    const Sequence s = sequence_of(p_, place.batch);
    const auto queries = static_cast<int32_t>(s.queries), keys = static_cast<int32_t>(s.keys);
    const int32_t first = place.block * Shape::query_block;
    const int32_t rows = least(queries - first, Shape::query_block);
    t.head = place.head;
    t.query_entry = static_cast<int32_t>(s.query_entry);
    t.query_row = static_cast<int32_t>(s.query_row) + first;
    t.first = first;
    t.rows = rows;
    t.blank = least(queries + static_cast<int32_t>(s.padding) - first, Shape::query_block) - (rows < 0 ? 0 : rows);
    t.key_entry = static_cast<int32_t>(s.key_entry);
    t.key_row = static_cast<int32_t>(s.key_row);
    t.keys = keys;
    t.diagonal = keys - queries;
    if (rows <= 0) return;
    const Window window = window_of(p_);
    const int32_t lo = window.lo(first, t), hi = window.hi(first + rows - 1, t);
    t.key_lo = lo;
    t.key_hi = hi;
    t.from = lo / key_block_;
    t.to = (hi + key_block_ - 1) / key_block_;
    if (t.to <= t.from) t.to = t.from + 1;  // no key at all: one block, all of it masked
    t.plain_from = (window.lo(first + Shape::query_block - 1, t) + key_block_ - 1) / key_block_;
    t.plain_to = window.hi(first, t) / key_block_;
  }
  static GA_ALWAYS_INLINE int32_t least(int32_t a, int32_t b) { return a < b ? a : b; }

  const Problem &p_;
  const Work &w_;
  int32_t key_block_, block_, blocks_;
  int32_t round_ = 0, sequence_ = 0, before_ = 0;
};

}  // namespace ga::cuda::sm90
