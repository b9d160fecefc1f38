// Prefill: a block of query rows against all keys they see, in blocks of keys small enough for the nearest caches.
//
//   for each block of 256 keys:
//     for each panel, six rows at a time:   S = Q K^T   →   softcap   →   P = exp2(S - reference), row sums
//     Y += P V
//   at the end of a row:                    normalize, gate, store (epilogue.h)
//
// A row of the block is one (position, query head) pair of one key/value head: all heads of the group lie side by side
// (row r: position r / group, head r % group), so that six neighboring rows have nearly the same causal limit.
#pragma once

#include "core/mask.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"
#include "cpu/prefill_weights.h"
#include "cpu/scores.h"

namespace ga::GA_ISA {
namespace {

template <class Product, class T>
class Prefill {
 public:
  Prefill(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task);
  void run();

 private:
  using P = PrefillWeights<Product>;
  using Reference = typename P::Reference;
  using RowWeights = Weights<P::kPrecision>;
  static constexpr int64_t kTile = Product::kRowsAtOnce;
  static constexpr bool kBeside = kWeighsBeside && Product::kUnitsAtOnce == 1;
  static constexpr int kTiles = kBeside ? kScoredTiles : 1;                    // of scores
  static constexpr int64_t kKeyStep = Product::kPack * Product::kUnitsAtOnce;  // keys of P V that are multiplied at once
  struct Tile {  // up to so many rows go through the microkernel together
    int64_t row;
    int rows;
    int64_t lo, lo_all, hi_all, hi;  // some row sees [lo, hi), every row sees [lo_all, hi_all)
  };
  struct Scored {         // a tile of rows by a panel of keys
    int64_t row, column;  // of the task, of the block
    int rows;
    bool whole;  // every row sees all of the panel, and products are scores
    bool ready;  // or will be so, and weights need no preparation
    int turn;    // whose memory it uses
  };
  int rows_at(int64_t row) const { return static_cast<int>(rows_ - row < kTile ? rows_ - row : kTile); }
  Tile tile_at(int64_t row) const {
    const int n = rows_at(row);
    const KeyRange &first = row_[row].sees, &last = row_[row + n - 1].sees;
    return {row, n, first.lo, last.lo, first.hi, last.hi};
  }
  struct Row {
    KeyRange sees;
    int64_t query, head;  // where it lies in Q, gate and output
  };

  const int32_t *key_panel(int64_t key) const {
    return keys_ + (key - part_.first_packed) / kPanel * s_.key_units * kPanel;
  }
  const int32_t *value_panel(int64_t key, int64_t column) const {
    return values_ + (column / kPanel * part_.value_units + (key - part_.first_packed) / Product::kPack) * kPanel;
  }
  const int32_t *weights_of(int64_t row) const { return reinterpret_cast<const int32_t *>(weights_ + row * kKeyBlock); }
  // Inline: GCC drops calls of what only prefetches.
  GA_ALWAYS_INLINE void prefetch_query(int64_t row, int64_t head) const {
    const char *at = p_.q.at(of_.query_entry, row, head);
    for (int64_t byte = 0; byte < p_.head_dim * p_.q.element_bytes; byte += 64) __builtin_prefetch(at + byte);
  }
  void find_rows();
  void load_queries();
  void weights(int64_t first, int64_t keys);
  float *scores_of(const Scored &s) const { return scores_ + s.turn * kTile * kPanel; }
  float *highest_of(const Scored &s) const { return highest_ + s.turn * kTile * kWidth; }
  template <class Beside>
  void multiply_tile(const Scored &to, const Tile &t, int64_t key, const int32_t *panel, Ahead &ahead, Beside beside);
  void settle(Scored &s, int64_t first);
  void mask(const Scored &s, int64_t key) const;
  typename P::Panel panel_of(const Scored &s) const;
  void weigh(const Scored &s, int64_t first);
  void weigh_rows(int64_t row, int64_t column, float *scores, int64_t first);
  F finish_scores(int64_t row, float *scores, int64_t key) const;
  KeyRange columns_seen(int64_t row, int64_t key) const {
    const int64_t lo = row_[row].sees.lo, hi = row_[row].sees.hi, end = key + kPanel;
    return {(lo > key ? lo : key) - key, (hi < end ? hi : end) - key};
  }
  void raise_reference(int64_t row, float highest, int64_t first, int64_t column);
  template <bool int8>
  void weigh_row(int64_t row, float *scores, const Tile &t, int64_t first, int64_t column);
  void fetch_ends(const Tile &t) const;
  void accumulate(int64_t first, int64_t keys, int64_t next);
  void accumulate_exactly(const Tile &t, int64_t first, int64_t from, int64_t to, int64_t column);
  void clear(const Tile &t, int64_t column, int64_t columns);
  bool any_unsafe(int64_t from, int64_t to) const;
  void finish();

  const Problem &p_;
  const Schedule &s_;
  const Part &part_;
  const Sequence &of_;
  const Epilogue<T> epilogue_;
  const Softcap softcap_;
  const bool int8_;   // the cache
  const bool plain_;  // scores are the products
  const bool masks_;  // where a row does not see a key, a score of -infinity makes the weight 0
  int64_t h_, row0_, rows_;
  const int32_t *keys_, *values_;
  const float *key_scales_, *value_scales_;  // of an int8 cache
  const char *unsafe_;
  int32_t *q_;                    // [rows][key_units]
  float *scores_;                 // [kTiles][tile][panel]
  float *highest_;                // [kTiles][tile][vector]
  typename P::Element *weights_;  // [rows][kKeyBlock]
  float *y_;                      // [rows][y_stride_]
  float *sum_;                    // [rows][vector]
  Reference *reference_;          // [rows]
  Row *row_;                      // [rows]
  int64_t y_stride_;
};

template <class Product, class T>
Prefill<Product, T>::Prefill(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task)
    : p_(p),
      s_(s),
      part_(part),
      of_(part.sequence),
      epilogue_(p),
      softcap_(p),
      int8_(p.k.dtype == GA_I8),
      plain_(!int8_ && !softcap_.capped()),
      masks_(plain_ && kLeastExponent < -149 && softcap_.factor() > 0x1p-100f) {
  h_ = task / part.query_blocks;
  const int64_t block = part.query_blocks - 1 - task % part.query_blocks;  // late rows see most keys: they go first
  row0_ = block * part.query_block;
  rows_ = part.rows - row0_ < part.query_block ? part.rows - row0_ : part.query_block;
  const int64_t head = part.first_panel + h_ * part.panels;  // its first panel
  keys_ = reinterpret_cast<const int32_t *>(shared + s.keys_offset) + head * s.key_units * kPanel;
  values_ = reinterpret_cast<const int32_t *>(shared + s.values_offset) +
            head * s.value_panels * (kPanel / Product::kPack) * kPanel;
  key_scales_ = reinterpret_cast<const float *>(shared + s.key_scales_offset) + head * kPanel;
  value_scales_ = reinterpret_cast<const float *>(shared + s.value_scales_offset) + head * kPanel;
  unsafe_ = shared + s.flags_offset + head;
  y_stride_ = round_up(p.head_dim_v, kWidth);

  const int64_t rows = round_up(rows_, kTile);
  Scratch scratch(own);
  q_ = scratch.take<int32_t>(rows * s.key_units);
  scores_ = scratch.take<float>(kTiles * kTile * kPanel);
  highest_ = scratch.take<float>(kTiles * kTile * kWidth);
  weights_ = scratch.take<typename P::Element>(rows * kKeyBlock);
  y_ = scratch.take<float>(rows * y_stride_);
  sum_ = scratch.take<float>(rows * kWidth);
  reference_ = scratch.take<Reference>(rows);
  row_ = scratch.take<Row>(rows);
}

template <class Product, class T>
void Prefill<Product, T>::run() {
  [[maybe_unused]] const typename Product::Registers registers;
  find_rows();
  load_queries();
  const int64_t end = row_[rows_ - 1].sees.hi;
  const int64_t begin = row_[0].sees.lo / kKeyBlock * kKeyBlock;
  for (int64_t first = begin; first < end; first += kKeyBlock) {
    const int64_t next = first + kKeyBlock, keys = end < next ? end - first : kKeyBlock;
    weights(first, keys);
    accumulate(first, keys, next < end ? next : begin);
  }
  finish();
}

template <class Product, class T>
void Prefill<Product, T>::find_rows() {
  int64_t query = row0_ / p_.group, head = row0_ % p_.group;
  KeyRange sees = visible_keys(p_, of_, query);
  for (int64_t r = 0; r < rows_; r++, head++) {
    if (head == p_.group) {
      head = 0;
      sees = visible_keys(p_, of_, ++query);
    }
    row_[r] = {sees, of_.query_row + query, h_ * p_.group + head};
    reference_[r] = Reference(softcap_);
    store(sum_ + r * kWidth, zero());
  }
  // The first product with values sets rows of Y; where there is none, they are 0.
  for (int64_t r = 0; r < rows_; r += kTile)
    if (const Tile t = tile_at(r); t.lo >= t.hi) clear(t, 0, y_stride_);
}

template <class Product, class T>
void Prefill<Product, T>::clear(const Tile &t, int64_t column, int64_t columns) {
  for (int64_t r = t.row; r < t.row + t.rows; r++)
    for (int64_t d = column; d < column + columns; d += kWidth) store(y_ + r * y_stride_ + d, zero());
}

template <class Product, class T>
void Prefill<Product, T>::load_queries() {
  GA_STAGE(kQueries);
  const int64_t units = p_.head_dim / Product::kPack;
  constexpr int64_t ahead = 8;  // rows lie far apart in memory: no hardware foresees the next one
  for (int64_t r = -ahead; r < rows_; r++) {
    if (r + ahead < rows_) prefetch_query(row_[r + ahead].query, row_[r + ahead].head);
    if (r < 0) continue;
    int32_t *row = q_ + r * s_.key_units;
    const char *query = p_.q.at(of_.query_entry, row_[r].query, row_[r].head);
    pack_row<Product>(reinterpret_cast<const T *>(query), units, row, p_.scale < 0);
    zero_from(row, units, s_.key_units);
  }
}

// Where a product leaves room for it, three tiles are under way: while one is multiplied, weights of the one before last are found
// beside it, and then references follow the scores of the last. Each is a chain of instructions that wait for one another.
template <class Product, class T>
void Prefill<Product, T>::weights(int64_t first, int64_t keys) {
  const bool beside = kBeside && kTile * kPanelVectors <= units_beside(s_.key_units, sizeof(T));
  Scored last{}, before_last{};
  for (int64_t c = 0; c < keys; c += kPanel) {
    const int64_t key = first + c;
    const int32_t *panel = key_panel(key);
    Ahead ahead(c + kPanel < keys ? panel + s_.key_units * kPanel : value_panel(first, 0), s_.key_units);
    for (int64_t r = 0; r < rows_; r += kTile) {
      const Tile t = tile_at(r);
      if (key >= t.hi || key + kPanel <= t.lo) continue;
      const bool whole = plain_ && t.lo_all <= key && key + kPanel <= t.hi_all;
      Scored now{r, c, t.rows, whole, whole || masks_, last.turn + 1 < kTiles ? last.turn + 1 : 0};
      if constexpr (kBeside) {
        if (beside && before_last.rows > 0 && before_last.ready && t.rows == kTile && t.hi - key > kPanel - kWidth) {
          multiply_tile(now, t, key, panel, ahead, panel_of(before_last));
        } else {
          if (before_last.rows > 0) weigh(before_last, first);
          multiply_tile(now, t, key, panel, ahead, Idle());
        }
        if (last.rows > 0) settle(last, first);
        before_last = last;
        last = now;
      } else {
        multiply_tile(now, t, key, panel, ahead, Idle());
        settle(now, first);
        weigh(now, first);
      }
      if (t.hi <= key + kPanel) fetch_ends(t);
    }
  }
  if (before_last.rows > 0) weigh(before_last, first);
  if (last.rows > 0) {
    settle(last, first);
    weigh(last, first);
  }
}

template <class Product, class T>
template <class Beside>
GA_ALWAYS_INLINE void Prefill<Product, T>::multiply_tile(const Scored &to, const Tile &t, int64_t key,
                                                         const int32_t *panel, Ahead &ahead, Beside beside) {
  GA_STAGE(kScores);
  const int64_t units = s_.key_units;
  const int32_t *q = q_ + t.row * units;
  float *scores = scores_of(to);
  to.whole
      ? multiply_scores<Product, T, true>(t.rows, kPanel, q, panel, units, scores, kPanel, ahead, highest_of(to), beside)
      : multiply_scores<Product, T, false>(t.rows, t.hi - key, q, panel, units, scores, kPanel, ahead, nullptr, beside);
}

template <class Product, class T>
GA_ALWAYS_INLINE void Prefill<Product, T>::settle(Scored &s, int64_t first) {
  GA_STAGE(kSoftmax);
  if (!s.ready) return;
  if (!s.whole) mask(s, first + s.column);
  for (int i = 0; i < s.rows; i++) {
    const F highest = load(highest_of(s) + i * kWidth);
    if (!any_greater(highest, set(reference_[s.row + i].limit))) continue;
    raise_reference(s.row + i, reduce_max(highest), first, s.column);
    if (reference_[s.row + i].weights.far_from_zero()) s.ready = false;
  }
}

// Keys that a row does not see get a score of -infinity. Leaves the highest ones as the microkernel does.
template <class Product, class T>
GA_ALWAYS_INLINE void Prefill<Product, T>::mask(const Scored &s, int64_t key) const {
  const F lowest = set(-__builtin_inff());
  for (int i = 0; i < s.rows; i++) {
    const auto [lo, hi] = columns_seen(s.row + i, key);
    F highest = lowest;
#pragma GCC unroll 8
    for (int j = 0; j < kPanel; j += kWidth) {
      float *at = scores_of(s) + i * kPanel + j;
      const F x = keep_range(load(at), static_cast<int>(lo) - j, static_cast<int>(hi) - j, lowest);
      store(at, x);
      highest = max(highest, x);
    }
    store(highest_of(s) + i * kWidth, highest);
  }
}

template <class Product, class T>
GA_ALWAYS_INLINE typename PrefillWeights<Product>::Panel Prefill<Product, T>::panel_of(const Scored &s) const {
  return {scores_of(s), s.rows, reference_ + s.row, sum_ + s.row * kWidth, weights_ + s.row * kKeyBlock + s.column};
}

template <class Product, class T>
GA_ALWAYS_INLINE void Prefill<Product, T>::weigh(const Scored &s, int64_t first) {
  GA_STAGE(kSoftmax);
  if (s.ready)
    panel_of(s).all();
  else
    weigh_rows(s.row, s.column, scores_of(s), first);
}

// The slow way: where masks are left, products are not yet scores, or weights have to be prepared.
template <class Product, class T>
void Prefill<Product, T>::weigh_rows(int64_t row, int64_t column, float *scores, int64_t first) {
  const Tile t = tile_at(row);
  for (int i = 0; i < t.rows; i++) {
    const F highest = finish_scores(row + i, scores + i * kPanel, first + column);
    if (any_greater(highest, set(reference_[row + i].limit)))
      raise_reference(row + i, reduce_max(highest), first, column);
  }
  for (int i = 0; i < t.rows; i++)
    int8_ ? weigh_row<true>(row + i, scores + i * kPanel, t, first, column)
          : weigh_row<false>(row + i, scores + i * kPanel, t, first, column);
}

// From products to scores; returns the highest ones of those that the row sees.
template <class Product, class T>
GA_ALWAYS_INLINE F Prefill<Product, T>::finish_scores(int64_t row, float *scores, int64_t key) const {
  const F lowest = set(-__builtin_inff());
  const auto [lo, hi] = columns_seen(row, key);
  if (lo >= hi) return lowest;
  if (int8_) {  // products with its whole numbers: keys that were scaled before would be rounded once per element
    const float *scale = key_scales_ + (key - part_.first_packed);
    for (int64_t j = lo / kWidth * kWidth; j < hi; j += kWidth) store(scores + j, mul(load(scores + j), load(scale + j)));
  }
  if (softcap_.capped()) softcap_.apply(scores, lo, hi);
  F highest = lowest;
  for (int64_t j = lo / kWidth * kWidth; j < hi; j += kWidth) {
    F x = load(scores + j);
    if (j < lo || j + kWidth > hi) x = keep_range(x, static_cast<int>(lo - j), static_cast<int>(hi - j), lowest);
    highest = max(highest, x);
  }
  return highest;
}

// What the row's weights refer to follows its highest score, and what was summed up before with it.
template <class Product, class T>
void Prefill<Product, T>::raise_reference(int64_t row, float highest, int64_t first, int64_t column) {
  Reference &reference = reference_[row];
  const float before = reference.maximum, wanted = RowWeights::reference(highest, softcap_) - headroom(int8_);
  if (!(wanted > before + kRescaleAt)) return;
  const float above = headroom(int8_) + kRescaleAt;
  if (before == -__builtin_inff()) return reference.set(softcap_, wanted, above);
  const float rise = nearest_whole(wanted - before);  // weights in 16 bits shrink exactly
  reference.set(softcap_, before + rise, above);
  const F shrink = scale_by_power(set(1.0f), clamp_exponent(set(-rise)));
  float *y = y_ + row * y_stride_, *sum = sum_ + row * kWidth;
  if (row_[row].sees.lo < first)
    for (int64_t d = 0; d < y_stride_; d += kWidth) store(y + d, mul(load(y + d), shrink));
  store(sum, mul(load(sum), shrink));
  for (int64_t j = 0; j < column; j += 2 * kWidth) P::multiply_both(weights_ + row * kKeyBlock + j, shrink);
}

// Some rows of the tile may not see some keys of the panel: their weights are 0.
template <class Product, class T>
template <bool int8>
void Prefill<Product, T>::weigh_row(int64_t row, float *scores, const Tile &t, int64_t first, int64_t column) {
  constexpr int64_t step = 2 * kWidth;
  const int64_t key = first + column;
  const auto [lo, hi] = columns_seen(row, key);
  const int64_t tile_lo = t.lo > key ? (t.lo - key) / step * step : 0;
  const int64_t tile_hi = t.hi < key + kPanel ? round_up(t.hi - key, step) : kPanel;
  RowWeights weights = reference_[row].weights;
  weights.prepare(scores, tile_lo, tile_hi);
  const auto mask = [&](int64_t j, F &low, F &high) {
    if (lo <= j && j + step <= hi) return;
    low = keep_range(low, static_cast<int>(lo - j), static_cast<int>(hi - j), zero());
    high = keep_range(high, static_cast<int>(lo - j) - kWidth, static_cast<int>(hi - j) - kWidth, zero());
  };
  F sum = zero();
  for (int64_t j = tile_lo; j < tile_hi; j += step) {
    F w[] = {load(scores + j), load(scores + j + kWidth)};
    weights.apply(w);
    auto &[low, high] = w;
    mask(j, low, high);
    sum = add(sum, add(low, high));
    if constexpr (int8) {
      const float *scale = value_scales_ + (key - part_.first_packed) + j;
      low = mul(low, load(scale));
      high = mul(high, load(scale + kWidth));
      mask(j, low, high);  // scales of keys that this row does not see may be anything
    }
    P::store_both(weights_ + row * kKeyBlock + column + j, low, high);
  }
  store(sum_ + row * kWidth, add(load(sum_ + row * kWidth), sum));
}

// The rows' last keys were weighed: their gates are near, as is the end of the task, whose block of rows is followed by the one before.
template <class Product, class T>
GA_ALWAYS_INLINE void Prefill<Product, T>::fetch_ends(const Tile &t) const {
  const int64_t queries_before = part_.query_block / p_.group, heads_before = part_.query_block % p_.group;
  for (int64_t r = t.row; r < t.row + t.rows; r++) {
    const Row &row = row_[r];
    epilogue_.prefetch(of_.query_entry, row.query, row.head);
    if (row0_ == 0) continue;
    const int64_t head = row.head - heads_before;
    const bool less = head < h_ * p_.group;
    prefetch_query(row.query - queries_before - less, less ? head + p_.group : head);
  }
}

template <class Product, class T>
bool Prefill<Product, T>::any_unsafe(int64_t from, int64_t to) const {
  for (int64_t panel = (from - part_.first_packed) / kPanel; panel <= (to - 1 - part_.first_packed) / kPanel; panel++)
    if (unsafe_[panel]) return true;
  return false;
}

template <class Product, class T>
void Prefill<Product, T>::accumulate(int64_t first, int64_t keys, int64_t next) {
  GA_STAGE(kValues);
  constexpr int64_t pack = Product::kPack, stride = kKeyBlock / pack;
  constexpr int64_t value_step = Product::kValueStep;
  for (int64_t v = 0; v < keys; v += value_step)
    for (int64_t column = 0; column < p_.head_dim_v; column += kPanel) {
      const int32_t *values = value_panel(first, column);
      Ahead ahead(column + kPanel < p_.head_dim_v ? value_panel(first + v, column + kPanel)
                  : v + value_step < keys         ? value_panel(first + v + value_step, 0)
                                                  : key_panel(next),
                  value_step / pack);
      for (int64_t r = 0; r < rows_; r += kTile) {
        const Tile t = tile_at(r);
        const int64_t from = t.lo - first > v ? t.lo - first : v;
        int64_t to = t.hi - first < v + value_step ? t.hi - first : v + value_step;
        if (to > keys) to = keys;
        if (from >= to) continue;
        const int64_t low = from / kKeyStep * kKeyStep, high = round_up(to, kKeyStep);  // those are multiplied as well
        const bool begins = t.lo >= first + v;
        if ((t.lo_all > first + low || t.hi_all < first + high) && any_unsafe(first + from, first + to)) {
          if (begins) clear(t, column, y_stride_ - column < kPanel ? y_stride_ - column : kPanel);
          accumulate_exactly(t, first, from, to, column);
          continue;
        }
        const int64_t unit = low / pack, n = (high - low) / pack, columns = p_.head_dim_v - column;
        const int32_t *weights = weights_of(r) + unit, *at = values + unit * kPanel, *fetch = ahead.take(n);
        float *y = y_ + r * y_stride_ + column;
        begins ? multiply<Product, kStore>(t.rows, columns, weights, stride, at, n, y, y_stride_, fetch)
               : multiply<Product, kAccumulate>(t.rows, columns, weights, stride, at, n, y, y_stride_, fetch);
      }
    }
}

// The slow way, for an infinity or NaN among the values where rows of the tile see different keys: row by row, exactly
// the keys it sees, since 0 * NaN would reach the others.
template <class Product, class T>
void Prefill<Product, T>::accumulate_exactly(const Tile &t, int64_t first, int64_t from, int64_t to, int64_t column) {
  constexpr int64_t pack = Product::kPack, stride = kKeyBlock / pack;
  const int32_t *values = value_panel(first, column);
  const int64_t left = p_.head_dim_v - column, columns = left < kPanel ? left : kPanel;
  for (int64_t r = t.row; r < t.row + t.rows; r++) {
    const KeyRange &sees = row_[r].sees;
    const int64_t lo = sees.lo - first > from ? sees.lo - first : from;
    const int64_t hi = sees.hi - first < to ? sees.hi - first : to;
    if (lo >= hi) continue;
    float *y = y_ + r * y_stride_ + column;
    const int32_t *weights = weights_of(r);
    if constexpr (Product::kUnitsAtOnce > 1) {
      Product::multiply_row(columns, weights, values, lo, hi, y);
      continue;
    }
    const int64_t unit = ceil_div(lo, pack), end = hi / pack;
    if (unit < end)
      multiply<typename Product::ByUnit, kAccumulate>(1, columns, weights + unit, stride, values + unit * kPanel,
                                                      end - unit, y, y_stride_, values);
    if constexpr (pack == 2) {  // a lone key of a pair: the odd one at the front, the even one at the end
      const auto half = [](int32_t unit_bits, bool odd) {
        union {
          uint32_t u;
          float f;
        } bits = {odd ? static_cast<uint32_t>(unit_bits) & 0xffff0000u : static_cast<uint32_t>(unit_bits) << 16};
        return bits.f;
      };
      const auto lone = [&](int64_t key) {
        const int32_t *value = values + key / 2 * kPanel;
        for (int64_t d = 0; d < columns; d++) y[d] += half(weights[key / 2], key & 1) * half(value[d], key & 1);
      };
      if (lo & 1) lone(lo);
      if (hi & 1) lone(hi - 1);
    }
  }
}

template <class Product, class T>
void Prefill<Product, T>::finish() {
  GA_STAGE(kRowEnds);
  for (int64_t r = 0; r < rows_; r++)
    epilogue_.finish(of_.query_entry, row_[r].query, row_[r].head, y_ + r * y_stride_,
                     reduce_add(load(sum_ + r * kWidth)), reference_[r].maximum);
}

template <class Product, class T>
static void prefill_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task) {
  Prefill<Product, T>(p, s, part, shared, own, task).run();
}

}  // namespace
}  // namespace ga::GA_ISA
