// The values of a tile of keys, weighted and added to the partial results of up to four query rows at once.
#pragma once

#include "core/schedule.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

constexpr int kDecodeRows = 4;  // query rows that share the registers of one pass over a tile's values
static_assert(kDecodeTile % (2 * kWidth) == 0, "pairs of weights are packed two vectors at a time");

// One row's partial result over a chunk: weights are exp2(score - maximum).
struct Partial {
  float maximum;
  float unused[15];                                           // sum and y start on a cache line
  float sum[16];                                              // [vector], not yet added up
  float *y() { return reinterpret_cast<float *>(this + 1); }  // [head_dim_v], padded to vectors
};

// Rows of K or V of one head of a tile.
struct Rows {
  const char *const *row;  // of the first head
  int64_t head;            // bytes from there
  int count;
  const char *at(int j) const { return row[j] + head; }
};

template <int G, int C>
GA_INLINE void load_columns(Partial *const *row, int64_t d, F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) acc[g][c] = load(row[g]->y() + d + c * kWidth);
}

template <int G, int C>
GA_INLINE void store_columns(Partial *const *row, int64_t d, const F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) store(row[g]->y() + d + c * kWidth, acc[g][c]);
}

// y[g] += sum over the tile's keys of weight * value, for C vectors of columns from column d on.
template <class T, int G, int C>
static void tile_values(F32Product, const float (*weights)[kDecodeTile], const Rows &values, int64_t d, int64_t columns,
                        Partial *const *row) {
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  for (int j = 0; j < values.count; j++) {
    const T *from = reinterpret_cast<const T *>(values.at(j)) + d;
    F p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = set(weights[g][j]);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      const F x = C == 1 && n < kWidth ? load(from, n) : load(from + c * kWidth);
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) acc[g][c] = fma(p[g], x, acc[g][c]);
    }
  }
  store_columns<G, C>(row, d, acc);
}

#ifdef GA_NATIVE_BF16
// One pair of keys; both is false for a lone last key, whose partner counts as 0.
template <class T, int G, int C, bool both>
GA_INLINE void add_pair(const T *even, const T *odd, int n, const U p[G], F acc[G][C]) {
#pragma GCC unroll 8
  for (int c = 0; c < C; c += 2) {
    const U x = load_row_units<Bf16Product>(even + c * kWidth, n);
    const U y = both ? load_row_units<Bf16Product>(odd + c * kWidth, n) : zero_units();
    U low, high;
    interleave(x, y, low, high);
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) {
      acc[g][c] = dot_pairs(acc[g][c], p[g], low);
      acc[g][c + 1] = dot_pairs(acc[g][c + 1], p[g], high);
    }
  }
}

// The same on pairs of keys; C counts vectors of 16 columns, two of which come from one vector of 32 bf16.
template <class T, int G, int C>
static void tile_values(Bf16Product, const float (*weights)[kDecodeTile], const Rows &values, int64_t d, int64_t columns,
                        Partial *const *row) {
  alignas(64) int32_t pairs[G][kDecodeTile / 2];
  for (int g = 0; g < G; g++)
    for (int j = 0; j < kDecodeTile; j += 2 * kWidth)
      store_units(pairs[g] + j / 2, pack_pairs(load(weights[g] + j), load(weights[g] + j + kWidth)));
  const int n = C > 2 || columns - d >= 2 * kWidth ? kWidth : static_cast<int>(columns - d) / 2;
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  for (int j = 0; j < values.count; j += 2) {
    const T *even = reinterpret_cast<const T *>(values.at(j)) + d;
    U p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = broadcast_unit(&pairs[g][j / 2]);
    if (j + 1 < values.count)
      add_pair<T, G, C, true>(even, reinterpret_cast<const T *>(values.at(j + 1)) + d, n, p, acc);
    else
      add_pair<T, G, C, false>(even, even, n, p, acc);
  }
  store_columns<G, C>(row, d, acc);
}
#endif

// y[g] += weights * values, for G rows that see the same keys.
template <class Product, class T, int G>
static void add_values(const float (*weights)[kDecodeTile], const Rows &values, int64_t columns, Partial *const *row) {
  constexpr int step = Product::kPack, wide = kPanelVectors * (G <= 2 ? 2 : 1);
  int64_t d = 0;
  for (; d + wide * kWidth <= columns; d += wide * kWidth)
    tile_values<T, G, wide>(Product{}, weights, values, d, columns, row);
  for (; d < columns; d += step * kWidth) tile_values<T, G, step>(Product{}, weights, values, d, columns, row);
}

}  // namespace
}  // namespace ga::GA_ISA
