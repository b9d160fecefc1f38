// The values of a tile of keys, weighted and added to the partial results of up to four query rows at once.
#pragma once

#include <type_traits>

#include "core/schedule.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

constexpr int kDecodeRows = 4;  // query rows that share the registers of one pass over a tile's values
constexpr int kFewRows = 2;     // up to which rows wait for memory, more of them for their products
static_assert(kDecodeTile % (2 * kWidth) == 0, "pairs of weights are packed two vectors at a time");

// One row's partial result over a chunk: weights are exp2(score - maximum).
struct Partial {
  float maximum;
  float unused[15];                                           // sum and y start on a cache line
  float sum[16];                                              // [vector], not yet added up
  float *y() { return reinterpret_cast<float *>(this + 1); }  // [head_dim_v], padded to vectors
};

#ifdef GA_BYTE_TABLES
// What multiplies an int8 cache in bf16: its numbers are widened 64 at a time, by tables, and their order is the tables'.
struct BytesProduct : Bf16Product {};
#endif

// Vectors of units that a step takes of a key, and vectors of columns that it takes of values.
template <class Product>
constexpr int kKeyVectors = 1;
template <class Product>
constexpr int kColumnVectors = Product::kPack;

// n units, at most a step's, of a key, held in registers.
template <class Product, class T>
GA_INLINE void load_key(Product, const T *key, int n, U x[1]) {
  x[0] = load_row_units<Product>(key, n);
  keep(x[0]);
}
// Two vectors of a packed query row, in the order that load_key leaves.
template <class Product>
GA_INLINE void order_query(Product, int32_t *, int32_t *) {}

#ifdef GA_BYTE_TABLES
template <>
constexpr int kKeyVectors<BytesProduct> = 2;
template <>
constexpr int kColumnVectors<BytesProduct> = 4;

GA_INLINE void load_key(BytesProduct, const i8 *key, int n, U x[2]) {
  widen_bytes(load_bytes(key, 2 * n), x[0], x[1]);
  keep(x[0]);
  keep(x[1]);
}
GA_INLINE void order_query(BytesProduct, int32_t *low, int32_t *high) {
  U a = load_units(low), b = load_units(high);
  order_like_bytes(a, b);
  store_units(low, a);
  store_units(high, b);
}
#endif

// Rows of K or V of one head of a tile.
struct Rows {
  const char *const *row;  // of the first head
  int64_t head;            // bytes from there
  int count;
  const char *at(int j) const { return row[j] + head; }
};

// Where the heads of a row of K or V lie: runs of bytes.
struct RowRuns {
  RowRuns(const View &view, int64_t heads, int64_t dims)
      : stride(view.head * view.element_bytes), count(heads), bytes(dims * view.element_bytes) {
    if (stride == bytes) {
      bytes *= count;
      count = 1;
    }
  }
  int64_t total() const { return count * bytes; }

  int64_t stride, count, bytes;
};

// Where rows wait until they are needed. Most processors have more lines of memory under way to the second cache than to the first.
enum Cache { kSecondCache = 2, kFirstCache = 3 };  // localities of __builtin_prefetch
#ifdef __x86_64__
constexpr Cache kFetchTo = kSecondCache;
#else
constexpr Cache kFetchTo = kFirstCache;
#endif

// Rows that are read next: fetched in the order of memory, some lines with every step of something else, so that memory is busy
// all the time and never asked for more than it can take.
template <Cache cache>
class RowsAhead {
 public:
  struct Stretch {
    const char *const *rows;
    int64_t count;
    const RowRuns &runs;
  };
  // Those of first, if any, then those of second; it stays with the last one. pace: bytes for each step that keeps it.
  RowsAhead(const Stretch &first, const Stretch &second, int64_t pace = 0)
      : stretch_{first, second}, pace_(pace), now_(first.count <= 0) {
    begin_run();
  }

  // What a loop fetches: in registers.
  class Steps {
   public:
    explicit Steps(RowsAhead &rows) : rows_(rows), at_(rows.at_), due_(rows.due_) {}
    ~Steps() {
      rows_.at_ = at_;
      rows_.due_ = due_;
    }
    // Whoever calls it also calls turn(), after some steps. Nothing that is read in between moves in front of it.
    template <int64_t kBytes>
    GA_ALWAYS_INLINE void fetch() {
      __asm__ volatile("" ::: "memory");
#pragma GCC unroll 16
      for (int64_t byte = 0; byte < kBytes; byte += 64) __builtin_prefetch(at_ + byte, 0, cache);
      at_ += kBytes;
    }
    GA_ALWAYS_INLINE void turn() {
      if (at_ >= rows_.run_end_) [[unlikely]]
        at_ = rows_.next_run();
    }
    GA_ALWAYS_INLINE void fetch_all(int64_t bytes) {
      for (due_ += bytes; due_ >= kPiece; due_ -= kPiece) {
        fetch<kPiece>();
        turn();
      }
    }
    GA_ALWAYS_INLINE void keep_pace() { fetch_all(rows_.pace_); }

   private:
    static constexpr int64_t kPiece = 256;
    RowsAhead &rows_;
    const char *at_;
    int64_t due_;
  };

 private:
  // Rows without a gap are one run.
  void begin_run() {
    const Stretch &s = stretch_[now_];
    at_ = s.rows[row_] + run_ * s.runs.stride;
    run_end_ = at_ + s.runs.bytes;
    if (s.runs.count == 1)
      for (; row_ + 1 < s.count && s.rows[row_ + 1] == run_end_; row_++) run_end_ += s.runs.bytes;
  }
  [[gnu::noinline, gnu::cold]] const char *next_run() {
    if (++run_ == stretch_[now_].runs.count) {
      run_ = 0;
      if (++row_ >= stretch_[now_].count) {
        row_ = now_ == 0 ? 0 : row_ - 1;
        now_ = 1;
      }
    }
    begin_run();
    return at_;
  }

  Stretch stretch_[2];
  int64_t pace_, due_ = 0;
  int now_;
  int64_t row_ = 0, run_ = 0;
  const char *at_, *run_end_;
};

// An address in a register of its own, for constant offsets: else the compiler has one register for each of them.
template <class P>
GA_INLINE P *base(P *p) {
  __asm__("" : "+r"(p));
  return p;
}

// Rows of y are ldy apart.
template <int G, int C>
GA_INLINE void load_columns(const float *y, int64_t ldy, F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++) {
    const float *row = base(y + g * ldy);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) acc[g][c] = load(row + c * kWidth);
  }
}

template <int G, int C>
GA_INLINE void store_columns(float *y, int64_t ldy, const F acc[G][C]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; g++) {
    float *row = base(y + g * ldy);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) store(row + c * kWidth, acc[g][c]);
  }
}

// Weights of a tile's keys as the product takes them: as they are, or in pairs of neighboring keys.
GA_INLINE void pack_weights(F32Product, float *) {}
// Columns of y in their order, whatever the product's is.
GA_INLINE void order_columns(F32Product, float *, int64_t) {}

// What one or two rows fetch while they read so many bytes of values: whole lines, and all but the eighth that was fetched while
// they were weighed.
constexpr int64_t share_of(int64_t bytes) { return (bytes - bytes / 8 + 63) / 64 * 64; }

// y[g] += sum over keys [from, to) of the tile of weight * value, for C vectors of columns from column d on.
template <class T, int G, int C, int kKeys, class Steps>
GA_INLINE void tile_values(F32Product, const float (*weights)[kDecodeTile], const Rows &values, int from, int to,
                           int64_t d, int64_t columns, float *y, int64_t ldy, Steps &ahead) {
  if constexpr (kKeys > 0) to = from + kKeys;
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(y + d, ldy, acc);
  for (int j = from; j < to; j++) {
    if constexpr (G > kFewRows)
      ahead.keep_pace();
    else
      ahead.template fetch<share_of(C * kWidth * sizeof(T))>();
    if (kKeys == 0) ahead.turn();
    const T *at = base(reinterpret_cast<const T *>(values.at(j)) + d);
    F p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = set(weights[g][j]);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      U x = load_row_units<F32Product>(at + c * kWidth, C == 1 ? n : kWidth);
      keep(x);
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) acc[g][c] = fma(p[g], as_floats(x), acc[g][c]);
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

// Columns of two rows in pairs, as many vectors of units as kColumnVectors; n: the columns of them that are there.
template <bool even, bool odd>
GA_INLINE void load_column_pairs(Bf16Product, const bf16 *x, const bf16 *y, int n, U pairs[2]) {
  U a = zero_units(), b = zero_units();
  if constexpr (even) a = load_row_units<Bf16Product>(x, n / 2);
  if constexpr (odd) b = load_row_units<Bf16Product>(y, n / 2);
  keep(a);
  keep(b);
  interleave_lanes(a, b, pairs[0], pairs[1]);
}

#ifdef GA_BYTE_TABLES
template <bool even, bool odd>
GA_INLINE void load_column_pairs(BytesProduct, const i8 *x, const i8 *y, int n, U pairs[4]) {
  interleave_bytes(even ? load_bytes(x, n) : zero_units(), odd ? load_bytes(y, n) : zero_units(), pairs);
}
GA_INLINE void order_columns(BytesProduct, float *y, int64_t columns) {
  for (int64_t d = 0; d < columns; d += 4 * kWidth) {
    F c[4];
    for (int i = 0; i < 4; i++) c[i] = load(y + d + i * kWidth);
    join_byte_columns(c);
    for (int i = 0; i < 4; i++) store(y + d + i * kWidth, c[i]);
  }
}
#endif

// j: the even one.
template <PairOf seen, class Product, class T, int G, int C>
GA_INLINE void add_pair(const Rows &values, int j, int64_t d, int n, const float (*weights)[kDecodeTile], F acc[G][C]) {
  constexpr int step = kColumnVectors<Product>;
  const T *even = base(reinterpret_cast<const T *>(values.at(seen == kOddOne ? j + 1 : j)) + d);
  const T *odd = base(reinterpret_cast<const T *>(values.at(seen == kEvenOne ? j : j + 1)) + d);
  U p[G];
#pragma GCC unroll 4
  for (int g = 0; g < G; g++)
    p[g] = broadcast_unit(reinterpret_cast<const int32_t *>(weights[g]) + static_cast<unsigned>(j) / 2);
#pragma GCC unroll 8
  for (int c = 0; c < C; c += step) {
    U pairs[step];
    load_column_pairs<seen != kOddOne, seen != kEvenOne>(Product{}, even + c * kWidth, odd + c * kWidth, n, pairs);
#pragma GCC unroll 4
    for (int i = 0; i < step; i++)
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) acc[g][c + i] = dot_pairs(acc[g][c + i], p[g], pairs[i]);
  }
}

// The same on pairs of keys. C counts vectors of 16 columns: two come from one vector of 32 bf16, or four from one of 64 whole numbers, and
// y has them as interleaving leaves them.
template <class T, int G, int C, int kKeys, class Product, class Steps>
GA_INLINE void tile_values(Product, const float (*weights)[kDecodeTile], const Rows &values, int from, int to, int64_t d,
                           int64_t columns, float *y, int64_t ldy, Steps &ahead) {
  if constexpr (kKeys > 0) to = from + kKeys;
  constexpr int step = kColumnVectors<Product>;
  const int n = C > step || columns - d >= step * kWidth ? step * kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(y + d, ldy, acc);
  int j = from;
  if constexpr (kKeys == 0)
    if (j & 1) add_pair<kOddOne, Product, T, G, C>(values, j++ - 1, d, n, weights, acc);
  for (; j + 1 < to; j += 2) {
    if constexpr (G > kFewRows)
      ahead.keep_pace();
    else
      ahead.template fetch<share_of(2 * C * kWidth * sizeof(T))>();
    if (kKeys == 0) ahead.turn();
    add_pair<kBoth, Product, T, G, C>(values, j, d, n, weights, acc);
  }
  if constexpr (kKeys == 0)
    if (j < to) add_pair<kEvenOne, Product, T, G, C>(values, j, d, n, weights, acc);
  store_columns<G, C>(y + d, ldy, acc);
}
#endif

// The heads of a task: how many there are, and what lies between one and the next.
struct HeadsOfTask {
  int64_t count;
  int64_t value_bytes;  // of V
  int64_t lanes;        // of weights
  int64_t y_rows, ldy;  // of y, whose rows are ldy floats apart
  int64_t columns;
};

// y[g] += weights * values over keys [from, to) of the tile, for G rows of each head, that see them all. kKeys: as many keys, from
// an even one on; 0: any.
template <class Product, class T, int G, int kKeys, Cache cache>
[[gnu::noinline]] static void add_values(const HeadsOfTask &heads, const float (*weights)[kDecodeTile], Rows values,
                                         int from, int to, float *y, RowsAhead<cache> &next) {
  constexpr int wide = kPanelVectors * (G <= kFewRows ? 2 : 1), step = kColumnVectors<Product>;
  typename RowsAhead<cache>::Steps ahead(next);
  for (int64_t h = 0; h < heads.count; h++) {
    int64_t d = 0;
    const auto take = [&]<int C>(std::integral_constant<int, C>) __attribute__((always_inline)) {
      tile_values<T, G, C, kKeys>(Product{}, weights, values, from, to, d, heads.columns, y, heads.ldy, ahead);
      if (kKeys > 0) ahead.turn();
      d += C * kWidth;
    };
    while (d + wide * kWidth <= heads.columns) take(std::integral_constant<int, wide>{});
    if constexpr (wide / 2 > step)
      if (d + wide / 2 * kWidth <= heads.columns) take(std::integral_constant<int, wide / 2>{});
    while (d < heads.columns) take(std::integral_constant<int, step>{});
    weights += heads.lanes;
    values.head += heads.value_bytes;
    y += heads.y_rows * heads.ldy;
  }
}

}  // namespace
}  // namespace ga::GA_ISA
