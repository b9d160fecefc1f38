// Softmax of decode: weights of one row over a tile of keys, and the scales of an int8 cache, which multiply scores and weights.
#pragma once

#include "cpu/decode_values.h"
#include "cpu/weights.h"

namespace ga::GA_ISA {
namespace {

// Turns scores of one row into weights in place, those of keys outside of [from, to) into 0, and brings the partial's maximum and sum
// up to date. The maximum follows only when it grew by over 2^8, and no lane is added to another before the merge: the usual
// tile takes no step across lanes.
template <Precision precision, bool int8>
static void tile_weights(float *s, int from, int to, const Softcap &softcap, int64_t columns, Partial &row) {
  const F lowest = set(-__builtin_inff()), factor = set(softcap.factor());
  const bool all = from == 0 && to == kDecodeTile;
  const auto seen = [&](F x, int j, F other) { return all ? x : keep_range(x, from - j, to - j, other); };
  F m = lowest;
  for (int j = 0; j < kDecodeTile; j += kWidth) {
    const F x = seen(load(s + j), j, lowest);
    store(s + j, x);
    m = max(m, x);
  }
  F sum = load(row.sum);
  if (any_greater(mul(m, factor), set(row.maximum + headroom(int8) + kRescaleAt))) {
    const float block = Weights<precision>::reference(reduce_max(m), softcap) - headroom(int8);
    if (row.maximum != -__builtin_inff()) {
      const F shrink = exp2<kFine>(set(row.maximum - block));
      for (int64_t d = 0; d < columns; d += kWidth) store(row.y() + d, mul(load(row.y() + d), shrink));
      sum = mul(sum, shrink);
    }
    row.maximum = block;
  }
  Weights<precision> weights(softcap, row.maximum);
  weights.prepare(s, 0, kDecodeTile);
  for (int j = 0; j < kDecodeTile; j += kWidth) {
    const F e = seen(weights(load(s + j)), j, zero());
    store(s + j, e);
    sum = add(sum, e);
  }
  store(row.sum, sum);
}

// Outside of [from, to), where factors may be anything, x becomes 0.
static inline void multiply_by(const float *factors, float *x, int from, int to) {
  for (int j = 0; j < kDecodeTile; j += kWidth)
    store(x + j, keep_range(mul(load(x + j), load(factors + j)), from - j, to - j, zero()));
}

}  // namespace
}  // namespace ga::GA_ISA
