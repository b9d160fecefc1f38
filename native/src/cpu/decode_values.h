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

// Rows that are read soon: fetched in the order of memory, a few lines with every step of something else, so that memory is busy
// all the time and never asked for more than it can take.
class RowsAhead {
 public:
  // count rows of so many heads, each of so many bytes, over about so many steps.
  RowsAhead(const char *const *rows, int64_t count, int64_t heads, int64_t head_stride, int64_t head_bytes, int64_t steps)
      : row_(rows), end_(rows + count), stride_(head_stride) {
    runs_ = head_stride == head_bytes ? 1 : heads;
    bytes_ = head_stride == head_bytes ? heads * head_bytes : head_bytes;
    if (count > 0) begin_run();
    share_ = count > 0 ? ceil_div(count * runs_ * ceil_div(bytes_, kPiece) * kOne, steps) : 0;
  }

  GA_ALWAYS_INLINE void some() {
    for (due_ += share_; due_ >= kOne; due_ -= kOne) {
      for (int64_t byte = 0; byte < kPiece; byte += 64) __builtin_prefetch(at_ + byte);
      at_ += kPiece;
      if (at_ >= run_end_) end_run();
    }
  }

 private:
  static constexpr int64_t kPiece = 256, kOne = 1024;

  GA_ALWAYS_INLINE void begin_run() {
    at_ = *row_ + run_ * stride_;
    run_end_ = at_ + bytes_;
  }
  GA_ALWAYS_INLINE void end_run() {
    if (++run_ == runs_) run_ = 0, row_++;
    if (row_ < end_)
      begin_run();
    else
      due_ = share_ = 0;
  }

  const char *const *row_, *const *end_;
  const char *at_ = nullptr, *run_end_ = nullptr;
  int64_t stride_, runs_, bytes_, run_ = 0;
  int64_t share_, due_ = 0;  // pieces per step, in units of 1 / kOne
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
                        Partial *const *row, RowsAhead &next) {
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  for (int j = 0; j < values.count; j++) {
    next.some();
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
                        Partial *const *row, RowsAhead &next) {
  alignas(64) int32_t pairs[G][kDecodeTile / 2];
  for (int g = 0; g < G; g++)
    for (int j = 0; j < kDecodeTile; j += 2 * kWidth)
      store_units(pairs[g] + j / 2, pack_pairs(load(weights[g] + j), load(weights[g] + j + kWidth)));
  const int n = C > 2 || columns - d >= 2 * kWidth ? kWidth : static_cast<int>(columns - d) / 2;
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  for (int j = 0; j < values.count; j += 2) {
    next.some();
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

// Columns that G rows take at once.
constexpr int64_t wide_columns(int64_t rows) { return kPanelVectors * (rows <= 2 ? 2 : 1) * kWidth; }

// y[g] += weights * values, for G rows that see the same keys.
template <class Product, class T, int G>
static void add_values(const float (*weights)[kDecodeTile], const Rows &values, int64_t columns, Partial *const *row,
                       RowsAhead &next) {
  constexpr int step = Product::kPack, wide = wide_columns(G);
  int64_t d = 0;
  for (; d + wide <= columns; d += wide)
    tile_values<T, G, wide / kWidth>(Product{}, weights, values, d, columns, row, next);
  for (; d < columns; d += step * kWidth) tile_values<T, G, step>(Product{}, weights, values, d, columns, row, next);
}

// How many steps that takes, about.
template <class Product>
GA_INLINE int64_t value_steps(int64_t columns, int64_t rows, int64_t keys) {
  return ceil_div(columns, wide_columns(rows)) * ceil_div(keys, Product::kPack);
}

}  // namespace
}  // namespace ga::GA_ISA
