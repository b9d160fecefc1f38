// Decode: a few query rows against a long cache. Memory decides: each key and value is read once, where it lies, for all
// query heads of its group; a task takes one chunk of the keys and leaves a partial result, the last task of a
// group of heads merges them in order and gates (merge_task).
//
// A task walks the heads whose keys lie next to each other in memory tile by tile, and fetches the next tile's rows ahead
// of time: strided caches defeat the hardware's prefetcher.
#pragma once

#include "core/mask.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

constexpr int kDecodeTile = 64;  // keys per softmax step
constexpr int kDecodeRows = 4;   // query rows that share the registers of one pass over a tile

// One row's partial result over a chunk: weights are exp2(score - maximum).
struct Partial {
  float maximum;
  float sum;
  float unused[14];                                           // y starts on a cache line
  float *y() { return reinterpret_cast<float *>(this + 1); }  // [head_dim_v], padded to vectors
};

// Rows of K or V of one head: count of them, stride bytes apart.
struct Rows {
  const char *data;
  int64_t stride;
  int count;
  const char *at(int j) const { return data + (j < count ? j : count - 1) * stride; }
};

// scores[g][j] = q row g . key j, for all keys of the tile; G rows share each key's load. What lies `ahead` bytes further is
// fetched meanwhile.
template <class Product, class T, int G>
static void tile_scores(const int32_t *q, int64_t ldq, int64_t units, const Rows &keys, int64_t ahead,
                        float (*scores)[kDecodeTile]) {
  const int64_t whole = units / kWidth * kWidth;
  for (int j = 0; j < keys.count; j += kWidth) {
    F sums[G][kWidth];
    for (int i = 0; i < kWidth; i += kTileKeys) {
      const T *row[kTileKeys];
      F acc[G][kTileKeys];
#pragma GCC unroll 4
      for (int t = 0; t < kTileKeys; t++) {
        row[t] = reinterpret_cast<const T *>(keys.at(j + i + t));
#pragma GCC unroll 4
        for (int g = 0; g < G; g++) acc[g][t] = zero();
      }
      for (int64_t u = 0; u < whole; u += kWidth) {
        U x[kTileKeys];
#pragma GCC unroll 4
        for (int t = 0; t < kTileKeys; t++) {
          const T *from = row[t] + u * Product::kPack;
          x[t] = load_row_units<Product>(from, kWidth);
          __builtin_prefetch(reinterpret_cast<const char *>(from) + ahead);
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
      for (int g = 0; g < G; g++)
#pragma GCC unroll 4
        for (int t = 0; t < kTileKeys; t++) sums[g][i + t] = acc[g][t];
    }
    for (int g = 0; g < G; g++) store(scores[g] + j, reduce_rows(sums[g]));
  }
}

// Turns scores of one row into weights in place, and brings the partial's maximum and sum up to date.
template <Precision precision>
static void tile_weights(float *s, int count, float scale, int64_t columns, Partial &row) {
  const F lowest = set(-__builtin_inff());
  const int padded = static_cast<int>(round_up(count, kWidth));
  F m = lowest;
  for (int j = 0; j < padded; j += kWidth) {
    const F x = keep_range(load(s + j), 0, count - j, lowest);
    store(s + j, x);
    m = max(m, x);
  }
  const float block = reduce_max(m) * scale;
  if (block > row.maximum) {
    if (row.maximum != -__builtin_inff()) {
      const F shrink = exp2<kFine>(set(row.maximum - block));
      for (int64_t d = 0; d < columns; d += kWidth) store(row.y() + d, mul(load(row.y() + d), shrink));
      row.sum *= reduce_max(shrink);
    }
    row.maximum = block;
  }
  const F factor = set(scale), minus = set(row.maximum == -__builtin_inff() ? 0.0f : -row.maximum);
  F sum = zero();
  for (int j = 0; j < padded; j += kWidth) {
    const F e = keep_range(exp2<precision>(fma(load(s + j), factor, minus)), 0, count - j, zero());
    store(s + j, e);
    sum = add(sum, e);
  }
  for (int j = padded; j < kDecodeTile; j += kWidth) store(s + j, zero());
  row.sum += reduce_add(sum);
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
static void tile_values(F32Product, const float (*weights)[kDecodeTile], const Rows &values, int64_t ahead, int64_t d,
                        int64_t columns, Partial *const *row) {
  const int n = C > 1 || columns - d >= kWidth ? kWidth : static_cast<int>(columns - d);
  F acc[G][C];
  load_columns<G, C>(row, d, acc);
  const char *at = values.data + d * static_cast<int64_t>(sizeof(T));
  for (int j = 0; j < values.count; j++, at += values.stride) {
    const T *from = reinterpret_cast<const T *>(at);
    F p[G];
#pragma GCC unroll 4
    for (int g = 0; g < G; g++) p[g] = set(weights[g][j]);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) {
      const F x = C == 1 && n < kWidth ? load(from, n) : load(from + c * kWidth);
      __builtin_prefetch(reinterpret_cast<const char *>(from + c * kWidth) + ahead);
#pragma GCC unroll 4
      for (int g = 0; g < G; g++) acc[g][c] = fma(p[g], x, acc[g][c]);
    }
  }
  store_columns<G, C>(row, d, acc);
}

#ifdef GA_NATIVE_BF16
// One pair of keys; both is false for a lone last key, whose partner counts as 0.
template <class T, int G, int C, bool both>
GA_INLINE void add_pair(const char *even, int64_t stride, int64_t ahead, int n, const U p[G], F acc[G][C]) {
#pragma GCC unroll 8
  for (int c = 0; c < C; c += 2) {
    const char *x_at = even + c * kWidth * 2, *y_at = x_at + stride;
    const U x = load_row_units<Bf16Product>(reinterpret_cast<const T *>(x_at), n);
    const U y = both ? load_row_units<Bf16Product>(reinterpret_cast<const T *>(y_at), n) : zero_units();
    __builtin_prefetch(x_at + ahead);
    __builtin_prefetch(y_at + ahead);
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
static void tile_values(Bf16Product, const float (*weights)[kDecodeTile], const Rows &values, int64_t ahead, int64_t d,
                        int64_t columns, Partial *const *row) {
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
    if (j + 1 < values.count)
      add_pair<T, G, C, true>(at, values.stride, ahead, n, p, acc);
    else
      add_pair<T, G, C, false>(at, values.stride, ahead, n, p, acc);
  }
  store_columns<G, C>(row, d, acc);
}
#endif

// G rows that see the same keys, over one tile.
template <class Product, class T, int G>
static void tile_rows_step(const Problem &p, const int32_t *q, int64_t ldq, const Rows &keys, const Rows &values,
                           int64_t keys_ahead, int64_t values_ahead, Partial *const *row) {
  constexpr int step = Product::kPack, wide = kPanelVectors * (G <= 2 ? 2 : 1);
  alignas(64) float scores[G][kDecodeTile];
  tile_scores<Product, T, G>(q, ldq, p.head_dim / Product::kPack, keys, keys_ahead, scores);
  for (int g = 0; g < G; g++)
    tile_weights<step == 2 ? kCoarse : kFine>(scores[g], keys.count, __builtin_fabsf(p.scale) * kLog2E, p.head_dim_v,
                                              *row[g]);
  int64_t d = 0;
  for (; d + wide * kWidth <= p.head_dim_v; d += wide * kWidth)
    tile_values<T, G, wide>(Product{}, scores, values, values_ahead, d, p.head_dim_v, row);
  for (; d < p.head_dim_v; d += step * kWidth)
    tile_values<T, G, step>(Product{}, scores, values, values_ahead, d, p.head_dim_v, row);
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
        ldq_(round_up(p.head_dim, 2 * kWidth) / Product::kPack) {}

  // False when this sequence is too short to have the chunk.
  bool run() {
    const int64_t length = p_.key_length(b_), size = s_.chunk_keys(length);
    if (chunk_ >= s_.chunks_of(length)) return false;
    begin();
    const int64_t from = chunk_ * size, end = length < from + size ? length : from + size;
    for (int64_t key = from; key < end; key += kDecodeTile)
      for (int32_t h = 0; h < s_.head_block; h++) tile(key, end, h);
    return true;
  }

  void merge();

 private:
  Partial *partial(int64_t chunk, int64_t head, int64_t row) const {
    const int64_t index = ((group_ * s_.chunks + chunk) * s_.head_block + head) * s_.rows + row;
    return reinterpret_cast<Partial *>(partials_ + index * s_.partial_floats * 4);
  }
  void begin();
  void tile(int64_t key, int64_t end, int32_t h);
  Rows rows(const View &view, int64_t key, int64_t end, int32_t h) const {
    const int64_t count = end - key < kDecodeTile ? end - key : kDecodeTile;
    return {view.at(b_, key, head0_ + h), view.sequence * view.element_bytes, count > 0 ? static_cast<int>(count) : 0};
  }

  const Problem &p_;
  const Schedule &s_;
  int64_t group_, chunk_, b_, head0_;
  char *partials_;
  int32_t *q_;  // [head_block][rows][ldq]
  int64_t ldq_;
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
      Partial *row = partial(chunk_, h, r);
      row->maximum = -__builtin_inff();
      row->sum = 0;
      for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) store(row->y() + d, zero());
    }
}

template <class Product, class T>
void Decode<Product, T>::tile(int64_t key, int64_t end, int32_t h) {
  // What comes next: the same keys of the next head, or the next keys of the first head; as a distance in bytes.
  const bool last_head = h + 1 == s_.head_block, more = !last_head || key + kDecodeTile < end;
  const int64_t next_keys = last_head ? kDecodeTile : 0, next_heads = last_head ? -h : 1;
  const auto distance = [&](const View &view) {
    return more ? (next_keys * view.sequence + next_heads * view.head) * view.element_bytes : 0;
  };
  int64_t keys_ahead = distance(p_.k), values_ahead = distance(p_.v);
  for (int64_t i = 0; i < p_.seq_q; i++) {
    const KeyRange sees = visible_keys(p_, p_.key_length(b_), i);
    const int64_t lo = sees.lo > key ? sees.lo : key, hi = sees.hi < end ? sees.hi : end;
    const Rows keys = rows(p_.k, lo, hi < key + kDecodeTile ? hi : key + kDecodeTile, h);
    const Rows values = rows(p_.v, lo, hi < key + kDecodeTile ? hi : key + kDecodeTile, h);
    if (keys.count == 0) continue;
    for (int32_t g = 0; g < p_.group; g += kDecodeRows) {
      const int64_t r = i * p_.group + g;
      const int32_t *q = q_ + (h * s_.rows + r) * ldq_;
      const int n = p_.group - g < kDecodeRows ? p_.group - g : kDecodeRows;
      Partial *row[kDecodeRows];
      for (int k = 0; k < n; k++) row[k] = partial(chunk_, h, r + k);
      switch (n) {
        case 1: tile_rows_step<Product, T, 1>(p_, q, ldq_, keys, values, keys_ahead, values_ahead, row); break;
        case 2: tile_rows_step<Product, T, 2>(p_, q, ldq_, keys, values, keys_ahead, values_ahead, row); break;
        case 3: tile_rows_step<Product, T, 3>(p_, q, ldq_, keys, values, keys_ahead, values_ahead, row); break;
        default: tile_rows_step<Product, T, 4>(p_, q, ldq_, keys, values, keys_ahead, values_ahead, row);
      }
      keys_ahead = values_ahead = 0;  // once is enough
    }
  }
}

// All chunks of one group of heads are done: brings them to one maximum, adds them in order, and finishes the rows.
template <class Product, class T>
void Decode<Product, T>::merge() {
  const Epilogue<T> epilogue(p_);
  const int64_t chunks = s_.chunks_of(p_.key_length(b_));
  for (int32_t h = 0; h < s_.head_block; h++)
    for (int64_t r = 0; r < s_.rows; r++) {
      Partial *total = partial(0, h, r);
      if (chunks > 1) {
        float maximum = total->maximum;
        for (int64_t c = 1; c < chunks; c++) {
          const float m = partial(c, h, r)->maximum;
          if (m > maximum) maximum = m;
        }
        const float base = maximum == -__builtin_inff() ? 0.0f : maximum;
        float sum = 0;
        for (int64_t c = 0; c < chunks; c++) {
          Partial *part = partial(c, h, r);
          const F weight = exp2<kFine>(set(part->maximum - base));
          sum += reduce_max(weight) * part->sum;
          for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
            const F y = mul(load(part->y() + d), weight);
            store(total->y() + d, c == 0 ? y : add(load(total->y() + d), y));
          }
        }
        total->maximum = maximum;
        total->sum = sum;
      }
      epilogue.finish(b_, r / p_.group, (head0_ + h) * p_.group + r % p_.group, total->y(), total->sum, total->maximum);
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
