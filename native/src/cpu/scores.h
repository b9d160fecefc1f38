// Scores of a tile: C [rows x columns] = Q K^T, in both passes alike, so that the weight of a key that has it all comes out as one
// where L was made of the same scores.
#pragma once

#include "cpu/microkernel.h"

namespace ga::GA_ISA {

constexpr int64_t chains_of(int64_t units) { return units <= 2 * kChainTerms ? 2 : 4; }
// Dimensions that all chains of sums go through together.
constexpr int64_t segment_of(int64_t units) { return ceil_div(units, ceil_div(units, chains_of(units) * kChainTerms)); }
// How many units are multiplied in one go: those of the first chain, where scores are sums of chains.
constexpr int64_t units_beside(int64_t units, int element_bytes) {
  return element_bytes < 4 ? units : segment_of(units) / chains_of(units);
}

// q [rows][units], keys: a packed panel. reduce: row_max [rows x vector] = the highest of each row's vectors.
//
// One sum over all of head_dim would be rounded too often for the error bound of f32, most of all where a few neighboring dimensions
// make up the score. So chains of sums take every second or fourth dimension, and form two halves that meet at the end.
//
// beside: of a whole tile, and of units_beside steps at most.
template <class Product, class T, bool reduce, class Beside = Idle>
static inline void multiply_scores(int rows, int64_t columns, const int32_t *q, const int32_t *keys, int64_t units,
                                   float *c, int64_t ldc, Ahead &ahead, float *row_max = nullptr, Beside beside = {}) {
  if constexpr (sizeof(T) < 4) {  // their bounds leave room for it
    constexpr Finish finish = reduce ? kStoreMax : kStore;
    if constexpr (std::is_same_v<Beside, Idle>)
      multiply<Product, finish>(rows, columns, q, units, keys, units, c, ldc, ahead.take(units), row_max);
    else
      multiply<Product, finish>(rows, columns, q, units, keys, units, c, ldc, ahead.take(units), row_max, 1, nullptr,
                                beside);
  } else {
    float half[kTileRows * kPanel];
    const int64_t chains = chains_of(units), segment = segment_of(units);
    for (int64_t first = 0; first < units; first += segment)
      for (int64_t chain = 0; chain < chains; chain++) {
        const int64_t end = units - first < segment ? units - first : segment, n = ceil_div(end - chain, chains);
        const int32_t *a = q + first + chain, *b = keys + (first + chain) * kPanel, *fetch = ahead.take(n);
        float *sums = chain & 1 ? half : c;
        const int64_t stride = chain & 1 ? kPanel : ldc;
        const bool last = first + segment >= units && chain + 1 == chains;
        if (last && chains == 2)
          multiply<Product, reduce ? kAccumulateMax : kAccumulate>(rows, columns, a, units, b, n, c, ldc, fetch, row_max,
                                                                   chains);
        else if (last)
          multiply<Product, reduce ? kJoinMax : kJoin>(rows, columns, a, units, b, n, c, ldc, fetch, row_max, chains,
                                                       half);
        else if (first == 0 && chain == 0)
          multiply<Product, kStore>(rows, columns, a, units, b, n, sums, stride, fetch, nullptr, chains, nullptr, beside);
        else if (first == 0 && chain == 1)
          multiply<Product, kStore>(rows, columns, a, units, b, n, sums, stride, fetch, nullptr, chains);
        else
          multiply<Product, kAccumulate>(rows, columns, a, units, b, n, sums, stride, fetch, nullptr, chains);
      }
  }
}

}  // namespace ga::GA_ISA
