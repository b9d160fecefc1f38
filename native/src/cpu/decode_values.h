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

// Where the heads of a row of K or V lie: runs of bytes, which are fetched in pieces.
struct RowRuns {
  RowRuns(const View &view, int64_t heads, int64_t dims)
      : stride(view.head * view.element_bytes), count(heads), bytes(dims * view.element_bytes) {
    if (stride == bytes) {
      bytes *= count;
      count = 1;
    }
  }
  int64_t total() const { return count * bytes; }
  int64_t pieces() const { return count * ceil_div(bytes, kPiece); }

  static constexpr int64_t kPiece = 256;
  int64_t stride, count, bytes;
};

// Rows that are read next: fetched in the order of memory, a few lines with every step of something else, so that memory is busy
// all the time and never asked for more than it can take.
class RowsAhead {
 public:
  // share: pieces per step, see share_of.
  RowsAhead(const char *const *rows, int64_t count, const RowRuns &runs, int64_t share)
      : row_(rows), end_(rows + count), stride_(runs.stride), runs_(runs.count), bytes_(runs.bytes), share_(share) {
    if (count > 0)
      begin_run();
    else
      share_ = 0;
  }
  static int64_t share_of(const RowRuns &runs, int64_t rows, int64_t steps) {
    return ceil_div(rows * runs.pieces() * kOne, steps);
  }

  GA_ALWAYS_INLINE void some(int64_t steps = 1) {
    for (due_ += steps * share_; due_ >= kOne; due_ -= kOne) {
      for (int64_t byte = 0; byte < RowRuns::kPiece; byte += 64) __builtin_prefetch(at_ + byte);
      at_ += RowRuns::kPiece;
      if (at_ >= run_end_) end_run();
    }
  }

 private:
  static constexpr int64_t kOne = 1024;

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
  int64_t share_, due_ = 0;  // in units of 1 / kOne
};

// Rows of y are ldy apart.
template <int G, int C>
GA_INLINE void load_columns(const float *y, int64_t ldy, F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) acc[g][c] = load(y + g * ldy + c * kWidth);
}

template <int G, int C>
GA_INLINE void store_columns(float *y, int64_t ldy, const F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) store(y + g * ldy + c * kWidth, acc[g][c]);
}

// Weights of a tile's keys as the product takes them: as they are, or in pairs of neighboring keys.
GA_INLINE void pack_weights(F32Product, float *) {}
// Columns of y in their order, whatever the product's is.
GA_INLINE void order_columns(F32Product, float *, int64_t) {}

// y[g] += sum over keys [from, to) of the tile of weight * value, for C vectors of columns from column d on.
template <class T, int G, int C>
GA_INLINE void tile_values(F32Product, const float (*weights)[kDecodeTile], const Rows &values, int from, int to,
                           int64_t d, int64_t columns, float *y, int64_t ldy, RowsAhead &next) {
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(y + d, ldy, acc);
  for (int j = from; j < to; j++) {
    next.some();
    const T *at = reinterpret_cast<const T *>(values.at(j)) + d;
    F p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = set(weights[g][j]);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      const F x = C == 1 && n < kWidth ? load(at, n) : load(at + c * kWidth);
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) acc[g][c] = fma(p[g], x, acc[g][c]);
    }
  }
  store_columns<G, C>(y + d, ldy, acc);
}

#ifdef GA_NATIVE_BF16
GA_INLINE void pack_weights(Bf16Product, float *weights) {
  auto *pairs = reinterpret_cast<int32_t *>(weights);
  for (int j = 0; j < kDecodeTile; j += 2 * kWidth)
    store_units(pairs + j / 2, pack_pairs(load(weights + j), load(weights + j + kWidth)));
}
GA_INLINE void order_columns(Bf16Product, float *y, int64_t columns) {
  for (int64_t d = 0; d < columns; d += 2 * kWidth) {
    F a = load(y + d), b = load(y + d + kWidth);
    join_columns(a, b);
    store(y + d, a);
    store(y + d + kWidth, b);
  }
}

enum PairOf { kBoth, kEvenOne, kOddOne };  // keys of a pair that are seen; the other one counts as 0, whatever it holds

template <PairOf seen, class T, int G, int C>
GA_INLINE void add_pair(const Rows &values, int j, int64_t d, int n, const float (*weights)[kDecodeTile], F acc[G][C]) {
  const T *even = seen != kOddOne ? reinterpret_cast<const T *>(values.at(j)) + d : nullptr;
  const T *odd = seen != kEvenOne ? reinterpret_cast<const T *>(values.at(j + 1)) + d : nullptr;
  U p[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; g++) p[g] = broadcast_unit(reinterpret_cast<const int32_t *>(weights[g]) + j / 2);
#pragma GCC unroll 8
  for (int c = 0; c < C; c += 2) {
    const U x = even ? load_row_units<Bf16Product>(even + c * kWidth, n) : zero_units();
    const U y = odd ? load_row_units<Bf16Product>(odd + c * kWidth, n) : zero_units();
    U low, high;
    interleave_lanes(x, y, low, high);
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) {
      acc[g][c] = dot_pairs(acc[g][c], p[g], low);
      acc[g][c + 1] = dot_pairs(acc[g][c + 1], p[g], high);
    }
  }
}

// The same on pairs of keys. C counts vectors of 16 columns: two come from one vector of 32 bf16, and y has them as interleave_lanes
// leaves them.
template <class T, int G, int C>
GA_INLINE void tile_values(Bf16Product, const float (*weights)[kDecodeTile], const Rows &values, int from, int to,
                           int64_t d, int64_t columns, float *y, int64_t ldy, RowsAhead &next) {
  const int n = C > 2 || columns - d >= 2 * kWidth ? kWidth : static_cast<int>(columns - d) / 2;
  F acc[G][C];
  load_columns<G, C>(y + d, ldy, acc);
  int j = from;
  if (j & 1) add_pair<kOddOne, T, G, C>(values, j++ - 1, d, n, weights, acc);
  for (; j + 1 < to; j += 2) {
    next.some();
    add_pair<kBoth, T, G, C>(values, j, d, n, weights, acc);
  }
  if (j < to) add_pair<kEvenOne, T, G, C>(values, j, d, n, weights, acc);
  store_columns<G, C>(y + d, ldy, acc);
}
#endif

// Columns that G rows take at once.
constexpr int64_t wide_columns(int64_t rows) { return kPanelVectors * (rows <= 2 ? 2 : 1) * kWidth; }

// In a function of its own, the many sums of more rows are not kept in memory.
template <class Product, class T, int G, int C>
[[gnu::noinline]] static void tile_values_apart(const float (*weights)[kDecodeTile], const Rows &values, int from, int to,
                                                int64_t d, int64_t columns, float *y, int64_t ldy, RowsAhead &next) {
  RowsAhead own = next;  // in registers
  tile_values<T, G, C>(Product{}, weights, values, from, to, d, columns, y, ldy, own);
  next = own;
}

// y[g] += weights * values over keys [from, to) of the tile, for G rows that see them all.
template <class Product, class T, int G>
static void add_values(const float (*weights)[kDecodeTile], const Rows &values, int from, int to, int64_t columns,
                       float *y, int64_t ldy, RowsAhead &next) {
  constexpr int step = Product::kPack, wide = wide_columns(G);
  int64_t d = 0;
  for (; d + wide <= columns; d += wide)
    if constexpr (G > 2)
      tile_values_apart<Product, T, G, wide / kWidth>(weights, values, from, to, d, columns, y, ldy, next);
    else
      tile_values<T, G, wide / kWidth>(Product{}, weights, values, from, to, d, columns, y, ldy, next);
  for (; d < columns; d += step * kWidth)
    tile_values_apart<Product, T, G, step>(weights, values, from, to, d, columns, y, ldy, next);
}

// How many steps that takes, about.
template <class Product>
GA_INLINE int64_t value_steps_of(int64_t columns, int64_t rows, int64_t keys) {
  return ceil_div(columns, wide_columns(rows)) * ceil_div(keys, Product::kPack);
}

}  // namespace
}  // namespace ga::GA_ISA
