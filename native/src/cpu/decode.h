// Decode: a few query rows against a long cache. Memory decides: each key and value is read once, where it lies, for all
// query heads of its group; a task takes one chunk of the keys and leaves a partial result, the last task of a
// group of heads merges them in order and gates (merge_task).
//
// A task takes the heads whose keys lie next to each other in memory, tile by tile. The keys of a tile are scored one after
// another, each for all query rows of all heads: one steady walk through memory, which the hardware's prefetcher follows.
// The tile's values are fetched meanwhile in the same order, and read from the second cache head by head.
#pragma once

#include <type_traits>

#include "core/mask.h"
#include "cpu/decode_values.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"
#include "cpu/weights.h"

namespace ga::GA_ISA {
namespace {

constexpr int kKeysAhead = 8;  // keys are fetched that long before they are scored; tile by tile, a tile before

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
static void tile_weights(float *s, int count, const Softcap &softcap, int64_t columns, Partial &row) {
  const F lowest = set(-__builtin_inff()), factor = set(softcap.factor());
  const int padded = static_cast<int>(round_up(count, kWidth));
  F m = lowest;
  for (int j = 0; j < padded; j += kWidth) {
    const F x = keep_range(load(s + j), 0, count - j, lowest);
    store(s + j, x);
    m = max(m, x);
  }
  F sum = load(row.sum);
  if (any_greater(mul(m, factor), set(row.maximum + kRescaleAt))) {
    const float block = Weights<precision>::reference(reduce_max(m), softcap);
    if (row.maximum != -__builtin_inff()) {
      const F shrink = exp2<kFine>(set(row.maximum - block));
      for (int64_t d = 0; d < columns; d += kWidth) store(row.y() + d, mul(load(row.y() + d), shrink));
      sum = mul(sum, shrink);
    }
    row.maximum = block;
  }
  Weights<precision> weights(softcap, row.maximum);
  weights.prepare(s, 0, padded);
  for (int j = 0; j < padded; j += kWidth) {
    const F e = keep_range(weights(load(s + j)), 0, count - j, zero());
    store(s + j, e);
    sum = add(sum, e);
  }
  for (int j = padded; j < kDecodeTile; j += kWidth) store(s + j, zero());
  store(row.sum, sum);
}

static inline void multiply_by(const float *factors, float *x) {
  for (int j = 0; j < kDecodeTile; j += kWidth) store(x + j, mul(load(x + j), load(factors + j)));
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
    scratch_ = scratch;
  }

  void run() {
    begin();
    typename Product::Decode tiles(scratch_, p_, part_);
    if constexpr (kTiles) tiles.load_queries(q_, ldq_);
    const int64_t from = chunk_ * part_.chunk_keys,
                  end = of_.keys < from + part_.chunk_keys ? of_.keys : from + part_.chunk_keys;
    const int64_t lo = visible_keys(p_, of_, 0).lo, hi = visible_keys(p_, of_, of_.queries - 1).hi;
    for (int64_t key = from; key < end; key += kDecodeTile) {
      const int64_t count = end - key < kDecodeTile ? end - key : kDecodeTile;
      if (key >= hi || key + count <= lo) continue;
      find_rows(key, static_cast<int>(count), end - key);
      if constexpr (kTiles)
        score_tiles(tiles, static_cast<int>(count));
      else
        score(static_cast<int>(count));
      turn_scores(static_cast<int>(count));
      if constexpr (kTiles)
        if (all_see(key, count)) {
          accumulate_tiles(tiles, static_cast<int>(count));
          continue;
        }
      accumulate(key, static_cast<int>(count));
    }
  }

  void merge();

 private:
  static constexpr bool kTiles = Product::kUnitsAtOnce > 1;
  static constexpr int kAhead = kTiles ? kDecodeTile : kKeysAhead;

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
  void score_tiles(typename Product::Decode &tiles, int count);
  void turn_scores(int count);
  bool all_see(int64_t key, int64_t count) const {
    const KeyRange first = visible_keys(p_, of_, 0), last = visible_keys(p_, of_, of_.queries - 1);
    return last.lo <= key && key + count <= first.hi;
  }
  void accumulate_tiles(typename Product::Decode &tiles, int count);
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
  Scratch scratch_{nullptr};      // what is left
  const char *key_rows_[kDecodeTile + kAhead], *value_rows_[kDecodeTile];  // of the tile, first head
  float key_scales_[kDecodeTile], value_scales_[kDecodeTile];              // of one head of an int8 cache
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
  if constexpr (!kTiles) make_folds();
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
  locate(p_.k, key, kTiles ? kDecodeTile + kAhead : values + kAhead, left, key_rows_);
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
}

// The same head by head, in registers of 16 keys; meanwhile the next tile's keys and this one's values are fetched in the order of memory.
template <class Product, class T, class K>
void Decode<Product, T, K>::score_tiles(typename Product::Decode &tiles, int count) {
  const int64_t rows = kDecodeTile * part_.head_block, calls = part_.head_block * tiles.steps(),
                each = ceil_div(rows, calls);
  int64_t next = 0;
  const auto fetch = [&] {
    for (int64_t n = 0; n < each && next < rows; n++, next++) {
      const int64_t j = next / part_.head_block, h = next % part_.head_block;
      const char *key = key_rows_[j + kAhead] + h * p_.k.head * p_.k.element_bytes;
      const char *value = value_rows_[j < count ? j : count - 1] + h * p_.v.head * p_.v.element_bytes;
      for (int64_t byte = 0; byte < p_.head_dim * p_.k.element_bytes; byte += 64) __builtin_prefetch(key + byte, 0, 2);
      for (int64_t byte = 0; byte < p_.head_dim_v * p_.v.element_bytes; byte += 64)
        __builtin_prefetch(value + byte, 0, 2);
    }
  };
  for (int64_t h = 0; h < part_.head_block; h++)
    tiles.score(key_rows_, count, h, h * p_.k.head * p_.k.element_bytes, products_, fetch);
}

// From products_ to scores_: by lanes.
template <class Product, class T, class K>
void Decode<Product, T, K>::turn_scores(int count) {
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

// The same where every row sees the whole tile: all rows of a head at once.
template <class Product, class T, class K>
void Decode<Product, T, K>::accumulate_tiles(typename Product::Decode &tiles, int count) {
  for (int64_t h = 0; h < part_.head_block; h++) {
    float(*weights)[kDecodeTile] = scores_ + h * part_.head_lanes;
    for (int64_t r = 0; r < part_.rows; r++) {
      if (softcap_.capped()) softcap_.apply(weights[r], 0, count);
      tile_weights<kCoarse>(weights[r], count, softcap_, p_.head_dim_v, *partial(chunk_, h, r));
    }
    const Rows values = {value_rows_, h * p_.v.head * p_.v.element_bytes, count};
    tiles.load_values(values);
    tiles.accumulate(weights, partial(chunk_, h, 0)->y(), s_.partial_floats);
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
    tile_weights<Product::kPack == 2 ? kCoarse : kFine>(weights[g], values.count, softcap_, p_.head_dim_v, *row[g]);
    if (sizeof(K) == 1) multiply_by(value_scales_, weights[g]);
  }
  switch (n) {
    case 1: return add_values<typename Product::ByUnit, K, 1>(weights, values, p_.head_dim_v, row);
    case 2: return add_values<typename Product::ByUnit, K, 2>(weights, values, p_.head_dim_v, row);
    case 3: return add_values<typename Product::ByUnit, K, 3>(weights, values, p_.head_dim_v, row);
    default: return add_values<typename Product::ByUnit, K, 4>(weights, values, p_.head_dim_v, row);
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
  const int64_t block = task / part.chunks, chunk = task % part.chunks;
#ifdef GA_AMX
  if constexpr (std::is_same_v<T, bf16> && std::is_same_v<K, bf16>)
    if (part.rows >= AmxDecode::kLeastRows && part.rows <= AmxDecode::kMostRows)
      return Decode<AmxProduct, T, K>(p, s, part, shared, own, block, chunk).run();
#endif
  Decode<Product, T, K>(p, s, part, shared, own, block, chunk).run();
}

template <class Product, class T, class K>
static void merge_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own,
                       int64_t head_block) {
  Decode<Product, T, K>(p, s, part, shared, own, head_block, 0).merge();
}

}  // namespace
}  // namespace ga::GA_ISA
