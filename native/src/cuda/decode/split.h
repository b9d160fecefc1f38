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

// The number of splits under which the device is done first. units: sequences x key/value heads; tiles: of keys, the most that a
// sequence may have; resident: blocks that the device runs at once.
//
// In units of 1/32 of a tile's time: a block takes its tiles and about one more to begin and to end, blocks run in waves, and
// whoever merges reads one partial per split. Of all numbers that leave a block the same tiles the smallest is best, and the
// others are passed over: this runs at every call.
constexpr int splits_for(int64_t units, int64_t tiles, int64_t resident) {
  const int64_t most = tiles < kMaxSplits ? tiles : kMaxSplits;
  int64_t best = 1, least = INT64_MAX;
  for (int64_t splits = 1; splits <= most;) {
    const int64_t each = ceil_div(tiles, splits), waves = ceil_div(units * splits, resident);
    const int64_t time = 32 * waves * (each + 1) + (splits > 1 ? splits : 0);
    if (time < least) {
      least = time;
      best = splits;
    }
    if (each == 1) break;
    splits = ceil_div(tiles, each - 1);
  }
  return static_cast<int>(best);
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
static_assert(splits_for(1, 1, 264) == 1 && splits_for(1, 0, 264) == 1);
static_assert(splits_for(1, 1 << 20, 264) == kMaxSplits);

}  // namespace ga::cuda::decode
