// Decode: a few query rows against a long cache. Memory decides: each key and value is read once, where it lies, for all
// query heads of its group; a task takes one chunk of the keys and leaves a partial result, the last task of a
// group of heads merges them in order and gates (merge_task).
//
// A task takes the heads whose keys lie next to each other in memory, tile by tile, and fetches the next tile's rows meanwhile
// (Upcoming): strided caches defeat the hardware's prefetcher.
#pragma once

#include "core/mask.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

constexpr int kDecodeRows = 4;  // query rows that share the registers of one pass over a tile
static_assert(kDecodeTile % (2 * kWidth) == 0, "pairs of weights are packed two vectors at a time");

// One row's partial result over a chunk: weights are exp2(score - maximum).
struct Partial {
  float maximum;
  float unused[15];                                           // sum and y start on a cache line
  float sum[16];                                              // [vector], not yet added up
  float *y() { return reinterpret_cast<float *>(this + 1); }  // [head_dim_v], padded to vectors
};

// Rows of K or V of one head: count of them, stride bytes apart.
struct Rows {
  const char *data;
  int64_t stride;
  int count;
  const char *at(int j) const { return data + (j < count ? j : count - 1) * stride; }
};

// The rows of the tile that comes next, all heads of it, in the order of memory: while this tile is computed they are fetched
// one by one. Only a steady walk in that order makes the hardware's prefetcher run ahead, and only that reaches DRAM's rate.
struct Upcoming {
  const char *data;                 // nullptr: nothing comes
  int64_t key_stride, head_stride;  // bytes
  int head_shift;                   // log2 of the heads per key
  int64_t first;                    // the row that is fetched first
  int pace;                         // a row is fetched every 2^pace rows that are computed

  // What pass k of several over the same rows fetches, so that all of them have a share.
  Upcoming share(int64_t k, int64_t passes) const {
    int log = 0;
    while (passes >> (log + 1) && pace + log < 5) log++;
    Upcoming part = *this;
    part.pace += log;
    part.first += k * (kDecodeTile >> part.pace);
    if (k >> log) part.data = nullptr;
    return part;
  }

  // Called with row j: into the second cache, the first is small. Inline: GCC drops calls of what only prefetches.
  GA_ALWAYS_INLINE void fetch(int64_t j, int64_t bytes) const {
    if (!data || (j & ((1 << pace) - 1))) return;
    const int64_t row = first + (j >> pace), key = row >> head_shift;
    const char *at = data + key * key_stride + (row - (key << head_shift)) * head_stride;
    for (int64_t b = 0; b < bytes; b += 64) __builtin_prefetch(at + b, 0, 2);
  }
};

// scores[g][j] = q row g . key j, for all keys of the tile; G rows share each key's load.
template <class Product, class T, int G>
static void tile_scores(const int32_t *q, int64_t ldq, int64_t units, const Rows &keys, const Upcoming &next,
                        float (*scores)[kDecodeTile]) {
  const int64_t whole = units / kWidth * kWidth;
  for (int j = 0; j < keys.count; j += kWidth) {
    F folded[G][kWidth / kTileKeys];
    for (int i = 0; i < kWidth / kTileKeys; i++) {
      const T *row[kTileKeys];
      F acc[G][kTileKeys];
#pragma GCC unroll 4
      for (int t = 0; t < kTileKeys; t++) {
        row[t] = reinterpret_cast<const T *>(keys.at(j + i * kTileKeys + t));
        next.fetch(j + i * kTileKeys + t, units * Product::kPack * static_cast<int64_t>(sizeof(T)));
#pragma GCC unroll 4
        for (int g = 0; g < G; g++) acc[g][t] = zero();
      }
      for (int64_t u = 0; u < whole; u += kWidth) {
        U x[kTileKeys];
#pragma GCC unroll 4
        for (int t = 0; t < kTileKeys; t++) {
          x[t] = load_row_units<Product>(row[t] + u * Product::kPack, kWidth);
          keep(x[t]);
        }
#pragma GCC unroll 4
        for (int g = 0; g < G; g++) {
          const U a = load_units(q + g * ldq + u);
#pragma GCC unroll 4
          for (int t = 0; t < kTileKeys; t++) acc[g][t] = Product::mac(acc[g][t], a, x[t]);
        }
      }
      if (whole < units)
        for (int t = 0; t < kTileKeys; t++) {
          const U x = load_row_units<Product>(row[t] + whole * Product::kPack, static_cast<int>(units - whole));
          for (int g = 0; g < G; g++) acc[g][t] = Product::mac(acc[g][t], load_units(q + g * ldq + whole), x);
        }
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) folded[g][i] = fold(acc[g]);
    }
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) store(scores[g] + j, join(folded[g]));
  }
}

// Turns scores of one row into weights in place, and brings the partial's maximum and sum up to date. The maximum follows only
// when it grew by over 2^8, and no lane is added to another before the merge: the usual tile takes no step across lanes.
template <Precision precision>
static void tile_weights(float *s, int count, float scale, int64_t columns, Partial &row) {
  const F lowest = set(-__builtin_inff()), factor = set(scale);
  const int padded = static_cast<int>(round_up(count, kWidth));
  F m = lowest;
  for (int j = 0; j < padded; j += kWidth) {
    const F x = keep_range(load(s + j), 0, count - j, lowest);
    store(s + j, x);
    m = max(m, x);
  }
  F sum = load(row.sum);
  if (any_greater(mul(m, factor), set(row.maximum + kRescaleAt))) {
    const float block = reduce_max(m) * scale;
    if (row.maximum != -__builtin_inff()) {
      const F shrink = exp2<kFine>(set(row.maximum - block));
      for (int64_t d = 0; d < columns; d += kWidth) store(row.y() + d, mul(load(row.y() + d), shrink));
      sum = mul(sum, shrink);
    }
    row.maximum = block;
  }
  const F minus = set(row.maximum == -__builtin_inff() ? 0.0f : -row.maximum);
  for (int j = 0; j < padded; j += kWidth) {
    const F e = keep_range(exp2<precision>(fma(load(s + j), factor, minus)), 0, count - j, zero());
    store(s + j, e);
    sum = add(sum, e);
  }
  for (int j = padded; j < kDecodeTile; j += kWidth) store(s + j, zero());
  store(row.sum, sum);
}

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
static void tile_values(F32Product, const float (*weights)[kDecodeTile], const Rows &values, const Upcoming &next,
                        int64_t d, int64_t columns, Partial *const *row) {
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  const char *at = values.data + d * static_cast<int64_t>(sizeof(T));
  for (int j = 0; j < values.count; j++, at += values.stride) {
    const T *from = reinterpret_cast<const T *>(at);
    next.fetch(j, columns * static_cast<int64_t>(sizeof(T)));
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
GA_INLINE void add_pair(const char *even, int64_t stride, int n, const U p[G], F acc[G][C]) {
#pragma GCC unroll 8
  for (int c = 0; c < C; c += 2) {
    const char *x_at = even + c * kWidth * 2, *y_at = x_at + stride;
    const U x = load_row_units<Bf16Product>(reinterpret_cast<const T *>(x_at), n);
    const U y = both ? load_row_units<Bf16Product>(reinterpret_cast<const T *>(y_at), n) : zero_units();
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
static void tile_values(Bf16Product, const float (*weights)[kDecodeTile], const Rows &values, const Upcoming &next,
                        int64_t d, int64_t columns, Partial *const *row) {
  alignas(64) int32_t pairs[G][kDecodeTile / 2];
  for (int g = 0; g < G; g++)
    for (int j = 0; j < kDecodeTile; j += 2 * kWidth)
      store_units(pairs[g] + j / 2, pack_pairs(load(weights[g] + j), load(weights[g] + j + kWidth)));
  const int n = C > 2 || columns - d >= 2 * kWidth ? kWidth : static_cast<int>(columns - d) / 2;
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  const char *at = values.data + d * 2;
  for (int j = 0; j < values.count; j += 2, at += 2 * values.stride) {
    U p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = broadcast_unit(&pairs[g][j / 2]);
    next.fetch(j, columns * 2);
    next.fetch(j + 1, columns * 2);
    if (j + 1 < values.count)
      add_pair<T, G, C, true>(at, values.stride, n, p, acc);
    else
      add_pair<T, G, C, false>(at, values.stride, n, p, acc);
  }
  store_columns<G, C>(row, d, acc);
}
#endif

// y[g] += weights * values, for G rows that see the same keys.
template <class Product, class T, int G>
static void add_values(const float (*weights)[kDecodeTile], const Rows &values, const Upcoming &next, int64_t columns,
                       Partial *const *row) {
  constexpr int step = Product::kPack, wide = kPanelVectors * (G <= 2 ? 2 : 1);
  const int64_t passes = columns / (wide * kWidth) + ceil_div(columns % (wide * kWidth), step * kWidth);
  int64_t d = 0, pass = 0;
  for (; d + wide * kWidth <= columns; d += wide * kWidth)
    tile_values<T, G, wide>(Product{}, weights, values, next.share(pass++, passes), d, columns, row);
  for (; d < columns; d += step * kWidth)
    tile_values<T, G, step>(Product{}, weights, values, next.share(pass++, passes), d, columns, row);
}

template <class Product, class T>
class Decode {
 public:
  Decode(const Problem &p, const Schedule &s, char *shared, char *own, int64_t task)
      : p_(p),
        s_(s),
        group_(task / s.chunks),
        chunk_(task % s.chunks),
        b_(group_ / s.head_blocks),
        head0_(group_ % s.head_blocks * s.head_block),
        partials_(shared + s.partials_offset),
        q_(reinterpret_cast<int32_t *>(own)),
        ldq_(round_up(p.head_dim, 2 * kWidth) / Product::kPack),
        scores_(reinterpret_cast<float (*)[kDecodeTile]>(own + round_up(s.head_block * s.rows * ldq_ * 4, 64))) {}

  // False when this sequence is too short to have the chunk.
  bool run() {
    const int64_t length = p_.key_length(b_), size = s_.chunk_keys(length);
    if (chunk_ >= s_.chunks_of(length)) return false;
    begin();
    const int64_t from = chunk_ * size, end = length < from + size ? length : from + size;
    fetch_tile(p_.k, from, end);
    fetch_tile(p_.v, from, end);
    for (int64_t key = from; key < end; key += kDecodeTile) {
      for_rows(p_.k, key, end,
               [&](const Rows &keys, const Upcoming &next, int64_t r, int n) { score(keys, next, r, n); });
      for_rows(p_.v, key, end,
               [&](const Rows &values, const Upcoming &next, int64_t r, int n) { accumulate(values, next, r, n); });
    }
    return true;
  }

  void merge();

 private:
  // Row r of the task: head of the block * s.rows + row of the head.
  Partial *partial(int64_t chunk, int64_t r) const {
    const int64_t index = (group_ * s_.chunks + chunk) * s_.head_block * s_.rows + r;
    return reinterpret_cast<Partial *>(partials_ + index * s_.partial_floats * 4);
  }
  void begin();
  template <class Step>
  void for_rows(const View &view, int64_t key, int64_t end, const Step &step);
  void score(const Rows &keys, const Upcoming &next, int64_t r, int n);
  void accumulate(const Rows &values, const Upcoming &next, int64_t r, int n);
  Rows rows(const View &view, int64_t key, int64_t end, int32_t h) const {
    const int64_t count = end - key < kDecodeTile ? end - key : kDecodeTile;
    return {view.at(b_, key, head0_ + h), view.sequence * view.element_bytes, count > 0 ? static_cast<int>(count) : 0};
  }

  // The first tile of the chunk: nothing came before it that could have fetched it.
  void fetch_tile(const View &view, int64_t key, int64_t end) const {
    const int64_t rows = (end - key < kDecodeTile ? end - key : kDecodeTile) * s_.head_block;
    const int64_t bytes = (&view == &p_.k ? p_.head_dim : p_.head_dim_v) * view.element_bytes;
    const Upcoming tile = upcoming(view, key - kDecodeTile, end, 0);
    for (int64_t j = 0; j < rows; j++) tile.fetch(j, bytes);
  }
  Upcoming upcoming(const View &view, int64_t key, int64_t end, int32_t h) const {
    return {key + kDecodeTile < end ? view.at(b_, key + kDecodeTile, head0_) : nullptr,
            view.sequence * view.element_bytes,
            view.head * view.element_bytes,
            __builtin_ctz(static_cast<unsigned>(s_.head_block)),
            h * int64_t{kDecodeTile},
            0};
  }

  const Problem &p_;
  const Schedule &s_;
  int64_t group_, chunk_, b_, head0_;
  char *partials_;
  int32_t *q_;  // [head_block][rows][ldq]
  int64_t ldq_;
  float (*scores_)[kDecodeTile];  // [head_block][rows], of one tile; then the weights
};

template <class Product, class T>
void Decode<Product, T>::begin() {
  const int64_t units = p_.head_dim / Product::kPack;
  for (int32_t h = 0; h < s_.head_block; h++)
    for (int64_t r = 0; r < s_.rows; r++) {
      int32_t *to = q_ + (h * s_.rows + r) * ldq_;
      for (int64_t u = 0; u < ldq_; u += kWidth) store_units(to + u, zero_units());
      const char *from = p_.q.at(b_, r / p_.group, (head0_ + h) * p_.group + r % p_.group);
      pack_row<Product>(reinterpret_cast<const T *>(from), units, to, p_.scale < 0);
      Partial *row = partial(chunk_, h * s_.rows + r);
      row->maximum = -__builtin_inff();
      store(row->sum, zero());
      for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) store(row->y() + d, zero());
    }
}

// Calls step(keys or values that the rows see, what to fetch meanwhile, first row, how many) for all rows of all heads: all
// keys of a tile are read before its values, so that memory is walked in long runs.
template <class Product, class T>
template <class Step>
void Decode<Product, T>::for_rows(const View &view, int64_t key, int64_t end, const Step &step) {
  for (int32_t h = 0; h < s_.head_block; h++) {
    const Upcoming next = upcoming(view, key, end, h);
    const int64_t passes = p_.seq_q * ceil_div(p_.group, kDecodeRows);
    int64_t pass = 0;
    for (int64_t i = 0; i < p_.seq_q; i++) {
      const KeyRange sees = visible_keys(p_, p_.key_length(b_), i);
      const int64_t lo = sees.lo > key ? sees.lo : key, hi = sees.hi < end ? sees.hi : end;
      const Rows seen = rows(view, lo, hi < key + kDecodeTile ? hi : key + kDecodeTile, h);
      if (seen.count == 0) continue;
      for (int32_t g = 0; g < p_.group; g += kDecodeRows) {
        const int n = p_.group - g < kDecodeRows ? p_.group - g : kDecodeRows;
        step(seen, next.share(pass++, passes), (h * p_.seq_q + i) * p_.group + g, n);
      }
    }
  }
}

template <class Product, class T>
void Decode<Product, T>::score(const Rows &keys, const Upcoming &next, int64_t r, int n) {
  const int32_t *q = q_ + r * ldq_;
  const int64_t units = p_.head_dim / Product::kPack;
  float(*to)[kDecodeTile] = scores_ + r;
  switch (n) {
    case 1: return tile_scores<Product, T, 1>(q, ldq_, units, keys, next, to);
    case 2: return tile_scores<Product, T, 2>(q, ldq_, units, keys, next, to);
    case 3: return tile_scores<Product, T, 3>(q, ldq_, units, keys, next, to);
    default: return tile_scores<Product, T, 4>(q, ldq_, units, keys, next, to);
  }
}

template <class Product, class T>
void Decode<Product, T>::accumulate(const Rows &values, const Upcoming &next, int64_t r, int n) {
  Partial *row[kDecodeRows];
  float(*weights)[kDecodeTile] = scores_ + r;
  for (int g = 0; g < n; g++) {
    row[g] = partial(chunk_, r + g);
    tile_weights<Product::kPack == 2 ? kCoarse : kFine>(weights[g], values.count, __builtin_fabsf(p_.scale) * kLog2E,
                                                        p_.head_dim_v, *row[g]);
  }
  switch (n) {
    case 1: return add_values<Product, T, 1>(weights, values, next, p_.head_dim_v, row);
    case 2: return add_values<Product, T, 2>(weights, values, next, p_.head_dim_v, row);
    case 3: return add_values<Product, T, 3>(weights, values, next, p_.head_dim_v, row);
    default: return add_values<Product, T, 4>(weights, values, next, p_.head_dim_v, row);
  }
}

// All chunks of one group of heads are done: brings them to one maximum, adds them in order, and finishes the rows.
template <class Product, class T>
void Decode<Product, T>::merge() {
  const Epilogue<T> epilogue(p_);
  const int64_t chunks = s_.chunks_of(p_.key_length(b_));
  for (int32_t h = 0; h < s_.head_block; h++)
    for (int64_t r = 0; r < s_.rows; r++) {
      Partial *total = partial(0, h * s_.rows + r);
      if (chunks > 1) {
        float maximum = total->maximum;
        for (int64_t c = 1; c < chunks; c++) {
          const float m = partial(c, h * s_.rows + r)->maximum;
          if (m > maximum) maximum = m;
        }
        const float base = maximum == -__builtin_inff() ? 0.0f : maximum;
        F sum = zero();
        for (int64_t c = 0; c < chunks; c++) {
          Partial *part = partial(c, h * s_.rows + r);
          const F weight = exp2<kFine>(set(part->maximum - base));
          sum = fma(load(part->sum), weight, sum);
          for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
            const F y = mul(load(part->y() + d), weight);
            store(total->y() + d, c == 0 ? y : add(load(total->y() + d), y));
          }
        }
        total->maximum = maximum;
        store(total->sum, sum);
      }
      epilogue.finish(b_, r / p_.group, (head0_ + h) * p_.group + r % p_.group, total->y(), reduce_add(load(total->sum)),
                      total->maximum);
    }
}

template <class Product, class T>
static bool decode_task(const Problem &p, const Schedule &s, char *shared, char *own, int64_t task) {
  return Decode<Product, T>(p, s, shared, own, task).run();
}

// group: of b * head_blocks + head_block.
template <class Product, class T>
static void merge_task(const Problem &p, const Schedule &s, char *shared, char *own, int64_t group) {
  Decode<Product, T>(p, s, shared, own, group * s.chunks).merge();
}

}  // namespace
}  // namespace ga::GA_ISA
