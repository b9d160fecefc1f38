// How many blocks share the keys of one sequence, and which tiles of keys each takes.
//
// The host picks the number of splits, from the most keys that the call allows and from the device alone: it never reads lengths.
// Each block then works out its own share from the length that it finds, so both parts are a few lines of integers, checked here.
#pragma once

#include "core/number.h"

namespace ga::cuda::decode {

constexpr int kMaxSplits = 256;

struct Share {
  int first, end;  // tiles [first, end)
};

// The first tiles % splits splits take one tile more than the rest: with fewer tiles than splits, the last ones take none.
constexpr GA_ALWAYS_INLINE Share share_of(int tiles, int splits, int split) {
  const int each = tiles / splits, more = tiles % splits;
  const int first = split * each + (split < more ? split : more);
  return {first, first + each + (split < more ? 1 : 0)};
}

// Splits that have a tile: those before it.
constexpr GA_ALWAYS_INLINE int used_splits(int tiles, int splits) { return tiles < splits ? tiles : splits; }

// In units of 1/32 of a tile's time: a block takes its tiles and about one more to begin and to end, blocks run in waves, and
// whoever merges reads one partial result per split.
constexpr int64_t time_of(int64_t splits, int64_t units, int64_t tiles, int64_t resident) {
  const int64_t waves = ceil_div(units * splits, resident);
  return 32 * waves * (ceil_div(tiles, splits) + 1) + (splits > 1 ? splits : 0);
}

// Of all numbers of splits that leave a block the same tiles the smallest is best: the next one that leaves fewer.
constexpr int64_t next_splits(int64_t splits, int64_t tiles) {
  const int64_t each = ceil_div(tiles, splits);
  return each > 1 ? ceil_div(tiles, each - 1) : kMaxSplits + 1;
}

// The fewest splits under which the device is done within a sixteenth of the least time. units: sequences x key/value heads;
// tiles: of keys, the most that a sequence may have; resident: blocks that the device runs at once. The fewest, since a cache is
// often far from full: then blocks are launched in vain.
constexpr int splits_for(int64_t units, int64_t tiles, int64_t resident) {
  const int64_t most = tiles < kMaxSplits ? tiles : kMaxSplits;
  int64_t least = INT64_MAX;
  for (int64_t splits = 1; splits <= most; splits = next_splits(splits, tiles)) {
    const int64_t time = time_of(splits, units, tiles, resident);
    if (time < least) least = time;
  }
  for (int64_t splits = 1; splits <= most; splits = next_splits(splits, tiles))
    if (time_of(splits, units, tiles, resident) <= least + least / 16) return static_cast<int>(splits);
  return 1;
}

// Every tile is taken once, in order, and no split takes two more than another.
constexpr bool shares_are_whole(int tiles, int splits) {
  int next = 0;
  for (int split = 0; split < splits; split++) {
    const Share s = share_of(tiles, splits, split);
    if (s.first != next || s.end < s.first) return false;
    if ((s.end > s.first) != (split < used_splits(tiles, splits))) return false;
    if (s.end - s.first > tiles / splits + 1) return false;
    next = s.end;
  }
  return next == tiles;
}
static_assert(shares_are_whole(0, 1) && shares_are_whole(0, 7) && shares_are_whole(1, 7) && shares_are_whole(6, 7));
static_assert(shares_are_whole(7, 7) && shares_are_whole(8, 7) && shares_are_whole(100, 7) && shares_are_whole(255, 256));

// On 132 multiprocessors with two blocks each, tiles of 64 keys:
static_assert(splits_for(8, 16, 264) == 16);     // B 1, 8 heads, 1k keys: a tile per block
static_assert(splits_for(8, 64, 264) == 32);     // 4k keys: two
static_assert(splits_for(128, 128, 264) == 2);   // B 16, 8k keys: one full wave
static_assert(splits_for(4096, 128, 264) == 1);  // the batch fills the device
static_assert(splits_for(512, 2048, 264) == 1);  // and all but does at B 64
static_assert(splits_for(300, 128, 264) == 4);   // 300 blocks would leave most of a second wave idle
static_assert(splits_for(1, 1, 264) == 1 && splits_for(1, 0, 264) == 1);
static_assert(splits_for(1, 1 << 20, 264) == 241);

}  // namespace ga::cuda::decode
