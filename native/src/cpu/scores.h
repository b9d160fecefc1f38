// Scores of a tile: C [rows x columns] = Q K^T, in both passes alike, so that the weight of a key that has it all comes out as one
// where L was made of the same scores.
#pragma once

#include "cpu/microkernel.h"

namespace ga::GA_ISA {

// q [rows][units], keys: a packed panel. reduce: row_max [rows x vector] = max(row_max, the columns).
//
// One sum over all of head_dim would be rounded too often for the error bound of f32, most of all where a few neighboring dimensions
// make up the score. So chains of sums take every second or fourth dimension, and form two halves that meet at the end.
template <class Product, class T, bool reduce>
static inline void multiply_scores(int rows, int64_t columns, const int32_t *q, const int32_t *keys, int64_t units,
                                   float *c, int64_t ldc, Ahead &ahead, float *row_max = nullptr) {
  if constexpr (sizeof(T) < 4) {  // their bounds leave room for it
    multiply<Product, reduce ? kStoreMax : kStore>(rows, columns, q, units, keys, units, c, ldc, ahead.take(units),
                                                   row_max);
  } else {
    float half[kTileRows * kPanel];
    const int64_t chains = units <= 2 * kChainTerms ? 2 : 4;
    const int64_t segment = ceil_div(units, ceil_div(units, chains * kChainTerms));
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
        else if (first == 0 && chain < 2)
          multiply<Product, kStore>(rows, columns, a, units, b, n, sums, stride, fetch, nullptr, chains);
        else
          multiply<Product, kAccumulate>(rows, columns, a, units, b, n, sums, stride, fetch, nullptr, chains);
      }
  }
}

}  // namespace ga::GA_ISA
