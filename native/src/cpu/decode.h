// Decode: a few query rows against a long cache. Memory decides: each key and value is read once, where it lies, for all
// query heads of its group; a task takes one chunk of the keys and leaves a partial result, the last task of a
// group of heads merges them in order and gates (merge_task).
//
// A task takes the heads whose keys lie next to each other in memory, tile by tile: first all scores of the tile, some keys of all
// heads at a time, then weights, then values, likewise. So keys and values are gone through nearly in the order of memory, and while
// some are multiplied, the next ones are fetched exactly in that order.
#pragma once

#include <type_traits>

#include "core/mask.h"
#include "cpu/decode_values.h"
#include "cpu/decode_weights.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

template <class Product, class T, class K, Cache cache = kFetchTo>
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
        ldq_(s.query_units(p.head_dim / Product::kPack, kWidth)),
        columns_(round_up(p.head_dim_v, kWidth * kColumnVectors<Values>)),
        key_runs_(p.k, part.head_block, p.head_dim),
        value_runs_(p.v, part.head_block, p.head_dim_v) {
    set_pace();
    Scratch scratch(own);
    q_ = scratch.take<int32_t>(part.lanes * ldq_);
    scores_ = scratch.take<float[kDecodeTile]>(part.lanes);
    if constexpr (kTiles) products_ = scratch.take<float>(part.lanes * kDecodeTile);
    if constexpr (!kTiles) folded_ = scratch.take<Folded>(part.lanes * kFolds);
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
      if constexpr (kTiles) {
        score_tiles(tiles, static_cast<int>(count));
        turn_scores(static_cast<int>(count));
        if (all_see(key, count)) {
          accumulate_tiles(tiles, static_cast<int>(count));
          continue;
        }
      } else {
        score(static_cast<int>(count));
      }
      accumulate(key, static_cast<int>(count));
    }
  }

  void merge();

 private:
  static constexpr bool kTiles = Product::kUnitsAtOnce > 1;
  static constexpr int kFolds = kWidth / kFold;                // of a vector of scores
  static constexpr int kStep = kKeyVectors<Product> * kWidth;  // units of a key at a time
  static constexpr int64_t kAhead = 8192;                      // bytes that are fetched before they are needed, at least
  static constexpr int64_t kValueKeys = sizeof(K) == 1 ? 8 : 4;  // of one head, whose row of Y is read and stored once
  static constexpr int64_t kStepsPerWeighing = 8;                // that weighing a row takes the time of, about
  using Values = std::conditional_t<kTiles, F32Product, Product>;
  using Ahead = RowsAhead<cache>;
  using Folded = float[kWidth];

  // Row r of head h of the task.
  Partial *partial(int64_t chunk, int64_t h, int64_t r) const {
    const int64_t task = block_ * part_.chunks + chunk,
                  index = part_.first_partial + (task * part_.head_block + h) * part_.rows + r;
    return reinterpret_cast<Partial *>(partials_ + index * s_.partial_floats * 4 +
                                       (part_.first_task + task) * s_.task_gap);
  }
  // Unit u, the first of a vector, of a packed query row: rows that are scored together lie vector by vector.
  int32_t *query(int64_t h, int64_t r, int64_t u) const {
    if (kTiles) return q_ + (h * part_.head_lanes + r) * ldq_ + u;
    const int64_t first = r / kDecodeRows * kDecodeRows, left = part_.rows - first;
    return q_ + (h * part_.rows + first) * ldq_ + u * (left < kDecodeRows ? left : kDecodeRows) + (r - first) * kWidth;
  }
  // Keys that come to so many bytes, in whole groups.
  static int64_t keys_of(const RowRuns &runs, int64_t group) {
    const int64_t keys = round_up(ceil_div(kAhead, runs.total()), group);
    return keys < kDecodeTile ? keys : kDecodeTile;
  }
  void set_pace();
  void begin();
  // Whoever merged the last call's partial results, or others in their place, has them in caches of his own.
  GA_ALWAYS_INLINE void claim_partials() const {
    const char *from = reinterpret_cast<const char *>(partial(chunk_, 0, 0));
    const int64_t bytes = part_.head_block * part_.rows * s_.partial_floats * 4;
    for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(from + byte, 1);
  }
  void find_rows(int64_t key, int count, int64_t left);
  void locate(const View &view, int64_t key, int64_t count, int64_t left, const char **rows) const;
  void score(int count);
  template <int R>
  void fold_rows(int64_t r, const char *const *keys, Folded *to, Ahead &next) const;
  void score_tiles(typename Product::Decode &tiles, int count);
  void turn_scores(int count);
  bool all_see(int64_t key, int64_t count) const {
    const KeyRange first = visible_keys(p_, of_, 0), last = visible_keys(p_, of_, of_.queries - 1);
    return last.lo <= key && key + count <= first.hi;
  }
  void accumulate_tiles(typename Product::Decode &tiles, int count);
  void find_scales(int64_t count, int64_t h);
  void accumulate(int64_t key, int count);
  void weigh(int64_t h, int64_t r, int from, int to);
  template <int G>
  void add_rows(int64_t r, int from, int to, Ahead &next) const;

  const Problem &p_;
  const Schedule &s_;
  const Softcap softcap_;
  const Part &part_;
  const Sequence &of_;
  int64_t block_, chunk_, head0_;
  char *partials_;
  int64_t ldq_;
  const int64_t columns_;  // of y: whole vectors, and pairs of them where the product puts columns in an order of its own
  const RowRuns key_runs_, value_runs_;
  int64_t value_keys_;                 // whose values are added up before those of the next ones
  int64_t score_pace_, value_pace_;    // of RowsAhead
  int64_t weigh_bytes_;                // that are fetched while a row is weighed
  int64_t keys_ahead_, values_ahead_;  // how far in front RowsAhead is
  int32_t *q_;                         // see query()
  float (*scores_)[kDecodeTile];       // [lane][key of the tile]; then the weights
  Folded *folded_ = nullptr;           // of a vector of keys: [fold][lane]
  float *products_ = nullptr;          // for tiles: [key of the tile][lane]
  Scratch scratch_{nullptr};           // what is left
  const char *key_rows_[2][kDecodeTile], *value_rows_[kDecodeTile];           // of the tile, first head
  const char **keys_ = key_rows_[0], **next_keys_ = key_rows_[1];             // and of the tile that follows,
  int64_t next_ = -1, next_count_ = 0;                                        // from this key on
  const char *key_scale_rows_[kDecodeTile], *value_scale_rows_[kDecodeTile];  // of an int8 cache,
  float key_scales_[kDecodeTile], value_scales_[kDecodeTile];                 // and those of one of its heads
};

// How many values are added up at a time, how far in front rows are fetched, and how much of them with each step. Few rows add
// up a few values of all heads at a time; with more of them, rows of y stay in registers for a whole tile.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::set_pace() {
  const bool few = part_.rows <= kFewRows;
  value_keys_ = few ? kValueKeys : kDecodeTile;
  keys_ahead_ = few ? keys_of(key_runs_, kFold) : kDecodeTile;
  values_ahead_ = few ? keys_of(value_runs_, kValueKeys) : kDecodeTile;
  const int64_t rows = part_.head_block * part_.rows, blocks = part_.head_block * ceil_div(part_.rows, kDecodeRows),
                key_bytes = kDecodeTile * key_runs_.total(), value_bytes = kDecodeTile * value_runs_.total(),
                score_steps = kDecodeTile / kFold * blocks * ceil_div(p_.head_dim, kStep * Product::kPack),
                value_steps = kDecodeTile / Values::kPack * blocks * ceil_div(p_.head_dim_v, kPanelVectors * kWidth);
  score_pace_ = ceil_div(value_bytes, score_steps);
  value_pace_ = ceil_div(key_bytes, rows * kStepsPerWeighing + value_steps);
  weigh_bytes_ = few ? value_bytes / 8 / rows : kStepsPerWeighing * value_pace_;
}

template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::begin() {
  GA_STAGE(kQueries);
  if (s_.task_gap > 0) claim_partials();
  const int64_t units = p_.head_dim / Product::kPack;
  for (int64_t i = 0; i < part_.lanes * ldq_; i += kWidth) store_units(q_ + i, zero_units());
  for (int64_t h = 0; h < part_.head_block; h++)
    for (int64_t r = 0; r < part_.rows; r++) {
      const T *from = reinterpret_cast<const T *>(
          p_.q.at(of_.query_entry, of_.query_row + r / p_.group, (head0_ + h) * p_.group + r % p_.group));
      for (int64_t u = 0; u < units; u += kWidth)
        pack_row<Product>(from + u * Product::kPack, units - u < kWidth ? units - u : kWidth, query(h, r, u),
                          p_.scale < 0);
      for (int64_t u = 0; u < units; u += kStep) order_query(Product{}, query(h, r, u), query(h, r, u + kWidth));
      Partial *row = partial(chunk_, h, r);
      row->maximum = -__builtin_inff();
      store(row->sum, zero());
      for (int64_t d = 0; d < columns_; d += kWidth) store(row->y() + d, zero());
    }
}

// Where the tile's keys and values lie, and the keys of the tile that follows. After the last of the left keys it repeats: a
// step may take a vector of keys at once.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::find_rows(int64_t key, int count, int64_t left) {
  if (key == next_) {
    const char **keys = keys_;
    keys_ = next_keys_;
    next_keys_ = keys;
  } else {
    locate(p_.k, key, kDecodeTile, left, keys_);
    if (!kTiles) {
      const typename Ahead::Stretch first{keys_, left < keys_ahead_ ? left : keys_ahead_, key_runs_};
      Ahead all(first, first);
      typename Ahead::Steps(all).fetch_all(first.count * key_runs_.total());
    }
  }
  next_ = key + count;
  next_count_ = left - count < kDecodeTile ? left - count : kDecodeTile;
  if (next_count_ > 0) locate(p_.k, next_, kDecodeTile, left - count, next_keys_);
  locate(p_.v, key, round_up(count, kWidth), left, value_rows_);
  if (sizeof(K) > 1) return;
  locate(p_.k_scale, key, count, left, key_scale_rows_);
  locate(p_.v_scale, key, count, left, value_scale_rows_);
}

template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::locate(const View &view, int64_t key, int64_t count, int64_t left,
                                          const char **rows) const {
  const int64_t stride = view.sequence * view.element_bytes, there = left < count ? left : count;
  const auto fill = [&](int64_t from, int64_t to, const char *row) {
    for (int64_t j = from; j < to && j < there; j++, row += stride) rows[j] = row;
  };
  if (of_.pages) {
    const uint32_t at = static_cast<uint32_t>(of_.key_row + key), size = static_cast<uint32_t>(p_.page_size);
    const int32_t *page = of_.pages + at / size;
    fill(0, size - at % size, view.at(*page, at % size, head0_));
    for (int64_t j = size - at % size; j < there; j += size) fill(j, j + size, view.at(*++page, 0, head0_));
  } else {
    fill(0, there, view.at(of_.key_entry, of_.key_row + key, head0_));
  }
  for (int64_t j = there; j < count; j++) rows[j] = rows[there - 1];
}

// Dot products of R query rows of each head and kFold keys, not quite summed up. They wait in registers: a key is read once.
template <class Product, class T, class K, Cache cache>
template <int R>
[[gnu::noinline]] void Decode<Product, T, K, cache>::fold_rows(int64_t r, const char *const *keys, Folded *to,
                                                               Ahead &next) const {
  const int64_t units = p_.head_dim / Product::kPack, key_head = p_.k.head * p_.k.element_bytes;
  const int32_t *q = query(0, r, 0);
  const char *key[kFold];
#pragma GCC unroll 4
  for (int t = 0; t < kFold; t++) key[t] = keys[t];
  typename Ahead::Steps ahead(next);
  for (int64_t h = 0; h < part_.head_block; h++) {
    F acc[R][kFold];
#pragma GCC unroll 4
    for (int i = 0; i < R; i++)
#pragma GCC unroll 4
      for (int t = 0; t < kFold; t++) acc[i][t] = zero();
    const auto add_products = [&](int64_t u, int n) __attribute__((always_inline)) {
      if constexpr (R <= kFewRows)
        ahead.template fetch<kFold * kStep * Product::kPack * sizeof(K)>();
      else
        ahead.keep_pace();
      U x[kFold][kKeyVectors<Product>];
#pragma GCC unroll 4
      for (int t = 0; t < kFold; t++)
        load_key(Product{}, reinterpret_cast<const K *>(key[t]) + u * Product::kPack, n, x[t]);
#pragma GCC unroll 2
      for (int v = 0; v < kKeyVectors<Product>; v++)
#pragma GCC unroll 4
        for (int i = 0; i < R; i++) {
          const U y = load_units(q + (u + v * kWidth) * R + i * kWidth);
#pragma GCC unroll 4
          for (int t = 0; t < kFold; t++) acc[i][t] = Product::mac(acc[i][t], y, x[t][v]);
        }
    };
    int64_t u = 0;
    for (; u + kStep <= units; u += kStep) add_products(u, kStep);
    if (u < units) add_products(u, static_cast<int>(units - u));
    ahead.turn();
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) store(to[i], fold(acc[i]));
#pragma GCC unroll 4
    for (int t = 0; t < kFold; t++) key[t] += key_head;
    q += part_.rows * ldq_;
    to += part_.head_lanes;
  }
}

template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::score(int count) {
  GA_STAGE(kScores);
  const int ahead = static_cast<int>(keys_ahead_);
  Ahead next({keys_ + ahead, count - ahead, key_runs_},
             {value_rows_, count < values_ahead_ ? count : values_ahead_, value_runs_}, score_pace_);
  for (int j = 0; j < count; j += kWidth) {
    for (int f = 0; f < kFolds; f++)
      for (int64_t r = 0; r < part_.rows; r += kDecodeRows) {
        const char *const *keys = keys_ + j + f * kFold;
        Folded *to = folded_ + f * part_.lanes + r;
        switch (part_.rows - r) {
          case 1: fold_rows<1>(r, keys, to, next); break;
          case 2: fold_rows<2>(r, keys, to, next); break;
          case 3: fold_rows<3>(r, keys, to, next); break;
          default: fold_rows<4>(r, keys, to, next);
        }
      }
    for (int64_t h = 0; h < part_.head_block; h++)
      for (int64_t lane = h * part_.head_lanes; lane < h * part_.head_lanes + part_.rows; lane++) {
        F folds[kFolds];
#pragma GCC unroll 4
        for (int f = 0; f < kFolds; f++) folds[f] = load(folded_[f * part_.lanes + lane]);
        store(scores_[lane] + j, join(folds));
      }
  }
}

// The same in registers of 16 keys; meanwhile the next tile's keys and this one's values are fetched in the order of memory.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::score_tiles(typename Product::Decode &tiles, int count) {
  GA_STAGE(kScores);
  const int64_t rows = kDecodeTile * part_.head_block, calls = part_.head_block * tiles.steps(),
                each = ceil_div(rows, calls);
  int64_t next = 0;
  const auto fetch = [&] {
    for (int64_t n = 0; n < each && next < rows; n++, next++) {
      const int64_t j = next / part_.head_block, h = next % part_.head_block;
      const char *key = (next_count_ > 0 ? next_keys_ : keys_)[j] + h * p_.k.head * p_.k.element_bytes;
      const char *value = value_rows_[j < count ? j : count - 1] + h * p_.v.head * p_.v.element_bytes;
      for (int64_t byte = 0; byte < p_.head_dim * p_.k.element_bytes; byte += 64) __builtin_prefetch(key + byte, 0, 2);
      for (int64_t byte = 0; byte < p_.head_dim_v * p_.v.element_bytes; byte += 64)
        __builtin_prefetch(value + byte, 0, 2);
    }
  };
  for (int64_t h = 0; h < part_.head_block; h++)
    tiles.template score<K>(keys_, count, h, h * p_.k.head * p_.k.element_bytes, products_, fetch);
}

// From products_ to scores_: by lanes.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::turn_scores(int count) {
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

template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::find_scales(int64_t count, int64_t h) {
  const auto scale = [&](const char *const *rows, const View &view, int64_t j) {
    return j < count ? *reinterpret_cast<const float *>(rows[j] + h * view.head * 4) : 0;
  };
  for (int64_t j = 0; j < kDecodeTile; j++) {
    key_scales_[j] = scale(key_scale_rows_, p_.k_scale, j);
    value_scales_[j] = scale(value_scale_rows_, p_.v_scale, j);
  }
}

// Weights of the tile, head by head; then values, some keys of all heads at a time, while the next ones are fetched.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::accumulate(int64_t key, int count) {
  struct {
    int from, to;
  } sees[kDecodeMaxRows];  // by query
  for (int64_t i = 0; i < of_.queries; i++) {
    const KeyRange all = visible_keys(p_, of_, i);
    sees[i].from = static_cast<int>(all.lo > key ? all.lo - key : 0);
    sees[i].to = static_cast<int>(all.hi < key + count ? all.hi - key : count);
  }
  const int group = static_cast<int>(value_keys_), ahead = static_cast<int>(values_ahead_);
  Ahead next({value_rows_ + ahead, count - ahead, value_runs_},
             next_count_ > 0
                 ? typename Ahead::Stretch{next_keys_, next_count_ < keys_ahead_ ? next_count_ : keys_ahead_, key_runs_}
                 : typename Ahead::Stretch{value_rows_, 1, value_runs_},
             value_pace_);
  {
    GA_STAGE(kSoftmax);
    for (int64_t h = 0; h < part_.head_block; h++) {
      if (sizeof(K) == 1) find_scales(count, h);
      for (int64_t r = 0; r < part_.rows; r++) {
        typename Ahead::Steps(next).fetch_all(weigh_bytes_);
        if (const auto [from, to] = sees[r / p_.group]; from < to) weigh(h, r, from, to);
      }
    }
  }
  GA_STAGE(kValues);
  for (int first = 0; first < count; first += group)
    for (int64_t i = 0; i < of_.queries; i++) {
      const int from = sees[i].from > first ? sees[i].from : first;
      const int to = sees[i].to < first + group ? sees[i].to : first + group;
      if (from >= to) continue;
      for (int32_t g = 0; g < p_.group; g += kDecodeRows) {
        const int64_t r = i * p_.group + g;
        switch (p_.group - g) {
          case 1: add_rows<1>(r, from, to, next); break;
          case 2: add_rows<2>(r, from, to, next); break;
          case 3: add_rows<3>(r, from, to, next); break;
          default: add_rows<4>(r, from, to, next);
        }
      }
    }
}

template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::weigh(int64_t h, int64_t r, int from, int to) {
  float *weights = scores_[h * part_.head_lanes + r];
  if (sizeof(K) == 1) multiply_by(key_scales_, weights, from, to);
  if (softcap_.capped()) softcap_.apply(weights, from, to);
  constexpr Precision precision = Product::kPack == 2 ? kCoarse : kFine;
  tile_weights<precision, sizeof(K) == 1>(weights, from, to, softcap_, columns_, *partial(chunk_, h, r));
  if (sizeof(K) == 1) multiply_by(value_scales_, weights, from, to);
  pack_weights(Values{}, weights);
}

// The same where every row sees the whole tile: all rows of a head at once.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::accumulate_tiles(typename Product::Decode &tiles, int count) {
  for (int64_t h = 0; h < part_.head_block; h++) {
    float(*weights)[kDecodeTile] = scores_ + h * part_.head_lanes;
    if (sizeof(K) == 1) find_scales(count, h);
    for (int64_t r = 0; r < part_.rows; r++) {
      GA_STAGE(kSoftmax);
      if (sizeof(K) == 1) multiply_by(key_scales_, weights[r], 0, count);
      if (softcap_.capped()) softcap_.apply(weights[r], 0, count);
      tile_weights<kCoarse, sizeof(K) == 1>(weights[r], 0, count, softcap_, p_.head_dim_v, *partial(chunk_, h, r));
      if (sizeof(K) == 1) multiply_by(value_scales_, weights[r], 0, count);
    }
    GA_STAGE(kValues);
    const Rows values = {value_rows_, h * p_.v.head * p_.v.element_bytes, count};
    tiles.template load_values<K>(values);
    tiles.accumulate(weights, partial(chunk_, h, 0)->y(), s_.partial_floats);
  }
}

// Values of keys [from, to) of the tile, to G rows of each head from r on.
template <class Product, class T, class K, Cache cache>
template <int G>
void Decode<Product, T, K, cache>::add_rows(int64_t r, int from, int to, Ahead &next) const {
  const HeadsOfTask heads = {
      part_.head_block, p_.v.head * p_.v.element_bytes, part_.head_lanes, part_.rows, s_.partial_floats, p_.head_dim_v};
  const Rows values = {value_rows_, 0, to};
  float *y = partial(chunk_, 0, r)->y();
  if constexpr (G <= kFewRows)
    if (from % kValueKeys == 0 && to - from == kValueKeys)
      return add_values<Values, K, G, kValueKeys>(heads, scores_ + r, values, from, to, y, next);
  add_values<Values, K, G, 0>(heads, scores_ + r, values, from, to, y, next);
}

// All chunks of one group of heads are done: brings them to one maximum, adds them in order, and finishes the rows.
template <class Product, class T, class K, Cache cache>
void Decode<Product, T, K, cache>::merge() {
  GA_STAGE(kRowEnds);
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
          for (int64_t d = 0; d < columns_; d += kWidth) {
            const F y = mul(load(part->y() + d), weight);
            store(total->y() + d, c == 0 ? y : add(load(total->y() + d), y));
          }
        }
        total->maximum = maximum;
        store(total->sum, sum);
      }
      order_columns(Values{}, total->y(), p_.head_dim_v);
      epilogue.finish(of_.query_entry, of_.query_row + r / p_.group, (head0_ + h) * p_.group + r % p_.group, total->y(),
                      reduce_add(load(total->sum)), total->maximum);
    }
}

// One chunk of the keys for one block of heads.
template <class Product, class T, class K, Cache cache>
static void decode_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task) {
  const int64_t block = task / part.chunks, chunk = task % part.chunks;
#ifdef GA_AMX
  if constexpr (std::is_same_v<T, bf16>)
    if (part.rows >= AmxDecode::kLeastRows<K> && part.rows <= AmxDecode::kMostRows)
      return Decode<AmxProduct, T, K>(p, s, part, shared, own, block, chunk).run();
#endif
  Decode<Product, T, K, cache>(p, s, part, shared, own, block, chunk).run();
}

template <class Product, class T, class K>
static void merge_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own,
                       int64_t head_block) {
  Decode<Product, T, K>(p, s, part, shared, own, head_block, 0).merge();
}

}  // namespace
}  // namespace ga::GA_ISA
