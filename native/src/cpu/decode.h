// Decode: a few query rows against a long cache. Memory decides: each key and value is read once, where it lies, for all
// query heads of its group; a task takes one chunk of the keys and leaves a partial result, the last task of a
// group of heads merges them in order and gates (merge_task).
//
// A task takes the heads whose keys lie next to each other in memory, tile by tile. The keys of a tile are scored one after
// another, each for all query rows of all heads: one steady walk through memory, which the hardware's prefetcher follows.
// The tile's values are fetched meanwhile in the same order, and read from the second cache head by head.
#pragma once

#include "core/mask.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"
#include "cpu/softcap.h"

namespace ga::GA_ISA {
namespace {

constexpr int kKeysAhead = 8;   // keys are fetched that long before they are scored
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

// Which dot products one fold sums: kFold query rows one after another, and the rows of keys they meet.
struct Fold {
  const int32_t *q;
  int32_t key[kFold];         // per row of keys: keys after the first of the step,
  int64_t head[kFold];        // bytes to its head,
  int64_t value_head[kFold];  // and to the head of its values
  bool first;                 // no fold before it met the same rows of keys
};
static_assert(sizeof(Fold) <= 128, "make_schedule counts on it");

// K: rows of keys in the fold, each of which meets kFold / K query rows. Keys and values that come later are fetched into the
// second cache meanwhile, line by line; the first is small.
template <class Product, class T, int K, bool fetches>
GA_INLINE F fold_products(const Fold &f, int64_t ldq, int64_t units, const char *const *keys, const char *const *values) {
  const T *row[K], *later[K], *value[K];
  F acc[kFold];
#pragma GCC unroll 4
  for (int t = 0; t < K; t++) {
    row[t] = reinterpret_cast<const T *>(keys[f.key[t]] + f.head[t]);
    later[t] = reinterpret_cast<const T *>(keys[f.key[t] + kKeysAhead] + f.head[t]);
    value[t] = reinterpret_cast<const T *>(values[f.key[t]] + f.value_head[t]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < kFold; i++) acc[i] = zero();
  const auto add_products = [&](int64_t u, int n) __attribute__((always_inline)) {
    U x[K];
#pragma GCC unroll 4
    for (int t = 0; t < K; t++) {
      x[t] = load_row_units<Product>(row[t] + u * Product::kPack, n);
      keep(x[t]);
      if (!fetches) continue;
      __builtin_prefetch(later[t] + u * Product::kPack, 0, 2);
      __builtin_prefetch(value[t] + u * Product::kPack, 0, 2);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kFold; i++) acc[i] = Product::mac(acc[i], load_units(f.q + i * ldq + u), x[i / (kFold / K)]);
  };
  int64_t u = 0;
  for (; u + 4 * kWidth <= units; u += 4 * kWidth)
#pragma GCC unroll 4
    for (int v = 0; v < 4; v++) add_products(u + v * kWidth, kWidth);
  for (; u + kWidth <= units; u += kWidth) add_products(u, kWidth);
  if (u < units) add_products(u, static_cast<int>(units - u));
  return fold(acc);
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

static inline void multiply_by(const float *factors, float *x) {
  for (int j = 0; j < kDecodeTile; j += kWidth) store(x + j, mul(load(x + j), load(factors + j)));
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

template <class Product, class T, class K>
class Decode {
 public:
  Decode(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t head_block,
         int64_t chunk)
      : p_(p),
        s_(s),
        softcap_(p),
        part_(part),
        of_(part.sequence),
        block_(head_block),
        chunk_(chunk),
        head0_(head_block * part.head_block),
        partials_(shared + s.partials_offset),
        ldq_(s.query_units(p.head_dim / Product::kPack, kWidth)) {
    Scratch scratch(own);
    q_ = scratch.take<int32_t>(part.query_lanes(kFold) * ldq_);
    products_ = scratch.take<float>(part.lanes * kDecodeTile);
    scores_ = scratch.take<float[kDecodeTile]>(part.lanes);
    folds_ = scratch.take<Fold>(part.query_lanes(kWidth) / kFold);
  }

  void run() {
    begin();
    const int64_t from = chunk_ * part_.chunk_keys,
                  end = of_.keys < from + part_.chunk_keys ? of_.keys : from + part_.chunk_keys;
    const int64_t lo = visible_keys(p_, of_, 0).lo, hi = visible_keys(p_, of_, of_.queries - 1).hi;
    for (int64_t key = from; key < end; key += kDecodeTile) {
      const int64_t count = end - key < kDecodeTile ? end - key : kDecodeTile;
      if (key >= hi || key + count <= lo) continue;
      find_rows(key, static_cast<int>(count), end - key);
      score(static_cast<int>(count));
      accumulate(key, static_cast<int>(count));
    }
  }

  void merge();

 private:
  // Row r of head h of the task.
  Partial *partial(int64_t chunk, int64_t h, int64_t r) const {
    const int64_t index = part_.first_partial + ((block_ * part_.chunks + chunk) * part_.head_block + h) * part_.rows + r;
    return reinterpret_cast<Partial *>(partials_ + index * s_.partial_floats * 4);
  }
  void begin();
  void make_folds();
  void find_rows(int64_t key, int count, int64_t left);
  void locate(const View &view, int64_t key, int64_t count, int64_t left, const char **rows) const;
  void score(int count);
  template <int rows>
  void products(int count);
  void find_scales(int64_t key, int64_t count, int64_t h);
  void accumulate(int64_t key, int count);
  void accumulate(int64_t h, int64_t r, int n, const Rows &values);

  const Problem &p_;
  const Schedule &s_;
  const Softcap softcap_;
  const Part &part_;
  const Sequence &of_;
  int64_t block_, chunk_, head0_;
  char *partials_;
  int64_t ldq_;
  int32_t *q_;                    // [lane][ldq]
  float *products_;               // [key of the tile][lane]
  float (*scores_)[kDecodeTile];  // [lane][key of the tile]; then the weights
  Fold *folds_;                   // of one step: one key and all lanes, or one vector
  const char *key_rows_[kDecodeTile + kKeysAhead], *value_rows_[kDecodeTile];  // of the tile, first head
  float key_scales_[kDecodeTile], value_scales_[kDecodeTile];                  // of one head of an int8 cache
};

template <class Product, class T, class K>
void Decode<Product, T, K>::begin() {
  const int64_t units = p_.head_dim / Product::kPack, lanes = part_.query_lanes(kFold);
  for (int64_t i = 0; i < lanes * ldq_; i += kWidth) store_units(q_ + i, zero_units());
  for (int64_t lane = 0; lane < lanes; lane++) {
    const int64_t h = lane % part_.lanes / part_.head_lanes, r = lane % part_.lanes % part_.head_lanes;
    if (h >= part_.head_block || r >= part_.rows) continue;
    const char *from = p_.q.at(of_.query_entry, of_.query_row + r / p_.group, (head0_ + h) * p_.group + r % p_.group);
    pack_row<Product>(reinterpret_cast<const T *>(from), units, q_ + lane * ldq_, p_.scale < 0);
    if (lane >= part_.lanes) continue;  // a copy
    Partial *row = partial(chunk_, h, r);
    row->maximum = -__builtin_inff();
    store(row->sum, zero());
    for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) store(row->y() + d, zero());
  }
  make_folds();
}

template <class Product, class T, class K>
void Decode<Product, T, K>::make_folds() {
  const int64_t shared =
      part_.head_lanes < kFold ? part_.head_lanes : kFold;  // query rows that meet the same row of keys
  for (int64_t lane = 0; lane < part_.query_lanes(kWidth); lane += kFold) {
    Fold &f = folds_[lane / kFold];
    f.q = q_ + lane % part_.query_lanes(kFold) * ldq_;
    f.first = lane % part_.lanes % part_.head_lanes == 0;
    for (int64_t t = 0; t < kFold / shared; t++) {
      const int64_t at = lane + t * shared, h = at % part_.lanes / part_.head_lanes;
      const int64_t head = h < part_.head_block ? h : 0;  // lanes that pad a vector read what is there
      f.key[t] = static_cast<int32_t>(at / part_.lanes);
      f.head[t] = head * p_.k.head * p_.k.element_bytes;
      f.value_head[t] = head * p_.v.head * p_.v.element_bytes;
    }
  }
}

// Where the tile's keys and values lie, and the keys after them that are fetched. After the last of the left keys it repeats: a
// step may take a vector of keys at once.
template <class Product, class T, class K>
void Decode<Product, T, K>::find_rows(int64_t key, int count, int64_t left) {
  const int64_t values = round_up(count, kWidth);
  locate(p_.k, key, values + kKeysAhead, left, key_rows_);
  locate(p_.v, key, values, left, value_rows_);
}

template <class Product, class T, class K>
void Decode<Product, T, K>::locate(const View &view, int64_t key, int64_t count, int64_t left, const char **rows) const {
  const char *first = p_.key(view, of_, key, head0_);
  const int64_t stride = view.sequence * view.element_bytes;
  const bool paged = of_.pages != nullptr;
  for (int64_t j = 0; j < count; j++) {
    const int64_t at = j < left ? j : left - 1;
    rows[j] = paged ? p_.key(view, of_, key + at, head0_) : first + at * stride;
  }
}

// products_ of the tile: one key after another, all lanes of it; a vector that has room for several keys takes them together.
template <class Product, class T, class K>
template <int rows>
void Decode<Product, T, K>::products(int count) {
  const int64_t units = p_.head_dim / Product::kPack;
  const int step = part_.lanes < kWidth ? static_cast<int>(kWidth / part_.lanes) : 1;
  for (int j = 0; j < count; j += step) {
    const char *const *keys = key_rows_ + j, *const *values = value_rows_ + j;
    const Fold *f = folds_;
    for (int64_t lane = 0; lane < part_.query_lanes(kWidth); lane += kWidth) {
      F folded[kWidth / kFold];
#pragma GCC unroll 4
      for (int i = 0; i < kWidth / kFold; i++, f++)
        folded[i] = f->first ? fold_products<Product, K, rows, true>(*f, ldq_, units, keys, values)
                             : fold_products<Product, K, rows, false>(*f, ldq_, units, keys, values);
      store(products_ + j * part_.lanes + lane, join(folded));
    }
  }
}

template <class Product, class T, class K>
void Decode<Product, T, K>::score(int count) {
  if (part_.head_lanes >= kFold)
    products<1>(count);
  else if (part_.head_lanes * 2 == kFold)
    products<2>(count);
  else
    products<kFold>(count);
  if (part_.lanes < kWidth) {
    for (int j = 0; j < count; j++)
      for (int64_t lane = 0; lane < part_.lanes; lane++) scores_[lane][j] = products_[j * part_.lanes + lane];
    return;
  }
  for (int j = 0; j < count; j += kWidth)
    for (int64_t lane = 0; lane < part_.lanes; lane += kWidth) {
      U r[kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; i++) r[i] = load_units(products_ + (j + i) * part_.lanes + lane);
      transpose(r);
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; i++) store_units(scores_[lane + i] + j, r[i]);
    }
}

template <class Product, class T, class K>
void Decode<Product, T, K>::find_scales(int64_t key, int64_t count, int64_t h) {
  for (int64_t j = 0; j < kDecodeTile; j++) {
    key_scales_[j] = j < count ? p_.scale_of(p_.k_scale, of_, key + j, head0_ + h) : 0;
    value_scales_[j] = j < count ? p_.scale_of(p_.v_scale, of_, key + j, head0_ + h) : 0;
  }
}

// Weights and values of the tile: head by head, rows that see the same keys together.
template <class Product, class T, class K>
void Decode<Product, T, K>::accumulate(int64_t key, int count) {
  for (int64_t i = 0; i < of_.queries; i++) {
    const KeyRange sees = visible_keys(p_, of_, i);
    const int64_t lo = sees.lo > key ? sees.lo - key : 0, hi = sees.hi < key + count ? sees.hi - key : count;
    if (lo >= hi) continue;
    for (int64_t h = 0; h < part_.head_block; h++) {
      if (sizeof(K) == 1) find_scales(key + lo, hi - lo, h);
      const Rows values = {value_rows_ + lo, h * p_.v.head * p_.v.element_bytes, static_cast<int>(hi - lo)};
      for (int32_t g = 0; g < p_.group; g += kDecodeRows) {
        const int n = p_.group - g < kDecodeRows ? p_.group - g : kDecodeRows;
        const int64_t r = i * p_.group + g;
        if (lo > 0)
          for (int row = 0; row < n; row++) {
            float *s = scores_[h * part_.head_lanes + r + row];
            __builtin_memmove(s, s + lo, sizeof(float) * (hi - lo));
          }
        accumulate(h, r, n, values);
      }
    }
  }
}

template <class Product, class T, class K>
void Decode<Product, T, K>::accumulate(int64_t h, int64_t r, int n, const Rows &values) {
  Partial *row[kDecodeRows];
  float(*weights)[kDecodeTile] = scores_ + h * part_.head_lanes + r;
  for (int g = 0; g < n; g++) {
    row[g] = partial(chunk_, h, r + g);
    if (sizeof(K) == 1) multiply_by(key_scales_, weights[g]);
    if (softcap_.capped()) softcap_.apply(weights[g], 0, values.count);
    tile_weights<Product::kPack == 2 ? kCoarse : kFine>(weights[g], values.count, softcap_.factor(), p_.head_dim_v,
                                                        *row[g]);
    if (sizeof(K) == 1) multiply_by(value_scales_, weights[g]);
  }
  switch (n) {
    case 1: return add_values<Product, K, 1>(weights, values, p_.head_dim_v, row);
    case 2: return add_values<Product, K, 2>(weights, values, p_.head_dim_v, row);
    case 3: return add_values<Product, K, 3>(weights, values, p_.head_dim_v, row);
    default: return add_values<Product, K, 4>(weights, values, p_.head_dim_v, row);
  }
}

// All chunks of one group of heads are done: brings them to one maximum, adds them in order, and finishes the rows.
template <class Product, class T, class K>
void Decode<Product, T, K>::merge() {
  const Epilogue<T> epilogue(p_);
  const int64_t chunks = part_.chunks;
  for (int32_t h = 0; h < part_.head_block; h++)
    for (int64_t r = 0; r < part_.rows; r++) {
      Partial *total = partial(0, h, r);
      if (chunks > 1) {
        float maximum = total->maximum;
        for (int64_t c = 1; c < chunks; c++) {
          const float m = partial(c, h, r)->maximum;
          if (m > maximum) maximum = m;
        }
        const float base = maximum == -__builtin_inff() ? 0.0f : maximum;
        F sum = zero();
        for (int64_t c = 0; c < chunks; c++) {
          Partial *part = partial(c, h, r);
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
      epilogue.finish(of_.query_entry, of_.query_row + r / p_.group, (head0_ + h) * p_.group + r % p_.group, total->y(),
                      reduce_add(load(total->sum)), total->maximum);
    }
}

// One chunk of the keys for one block of heads.
template <class Product, class T, class K>
static void decode_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task) {
  Decode<Product, T, K>(p, s, part, shared, own, task / part.chunks, task % part.chunks).run();
}

template <class Product, class T, class K>
static void merge_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own,
                       int64_t head_block) {
  Decode<Product, T, K>(p, s, part, shared, own, head_block, 0).merge();
}

}  // namespace
}  // namespace ga::GA_ISA
