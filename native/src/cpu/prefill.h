// Prefill: a block of query rows against all keys they see, in blocks of keys small enough for the nearest caches.
//
//   for each block of 256 keys:   S = Q K^T   →   softcap   →   P = exp2(S - maximum), row sums   →   Y += P V
//   at the end of a row:          normalize, gate, store (epilogue.h)
//
// A row of the block is one (position, query head) pair of one key/value head: all heads of the group lie side by side
// (row r: position r / group, head r % group), so that six neighboring rows have nearly the same causal limit.
#pragma once

#include "core/mask.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"
#include "cpu/scores.h"
#include "cpu/weights.h"

namespace ga::GA_ISA {
namespace {

template <class Product, class T>
class Prefill {
 public:
  Prefill(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task);
  void run();

 private:
  using RowWeights = Weights<Product::kPack == 2 ? kCoarse : kFine>;
  static constexpr int64_t kTile = Product::kRowsAtOnce;
  static constexpr int64_t kKeyStep = Product::kPack * Product::kUnitsAtOnce;  // keys of P V that are multiplied at once
  struct Tile {  // up to so many rows go through the microkernel together
    int64_t row;
    int rows;
    int64_t lo, lo_all, hi_all, hi;  // some row sees [lo, hi), every row sees [lo_all, hi_all)
  };
  Tile tile_at(int64_t row) const {
    const int n = static_cast<int>(rows_ - row < kTile ? rows_ - row : kTile);
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
  // Inline: GCC drops calls of what only prefetches.
  GA_ALWAYS_INLINE void prefetch_query(int64_t row, int64_t head) const {
    const char *at = p_.q.at(of_.query_entry, row, head);
    for (int64_t byte = 0; byte < p_.head_dim * p_.q.element_bytes; byte += 64) __builtin_prefetch(at + byte);
  }
  // Whether the microkernel finds the highest scores of a panel: where every row of the tile sees all of it. But products of an int8 cache
  // are not in order before its scales multiply them.
  bool reduces(const Tile &t, int64_t key) const { return t.lo_all <= key && key + kPanel <= t.hi_all && !int8_; }
  void find_rows();
  void load_queries();
  void scores(int64_t first, int64_t keys);
  void softmax(int64_t first, int64_t keys);
  KeyRange columns_seen(int64_t row, int64_t first, int64_t keys) const {
    const int64_t lo = row_[row].sees.lo, hi = row_[row].sees.hi, end = first + keys;
    return {(lo > first ? lo : first) - first, (hi < end ? hi : end) - first};
  }
  void raise_reference(int64_t row, const Tile &t, int64_t first, int64_t keys);
  void scale_row(int64_t row, int64_t first, int64_t lo, int64_t hi);
  void cap_row(int64_t row, int64_t lo, int64_t hi);
  float highest_score(int64_t row, const Tile &t, int64_t first, int64_t lo, int64_t hi) const;
  template <bool int8>
  void weigh_row(int64_t row, const Tile &t, int64_t first, int64_t keys);
  void store_weights(int64_t row, int64_t key, F low, F high);
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
  const bool int8_;  // the cache
  int64_t h_, row0_, rows_;
  const int32_t *keys_, *values_;
  const float *key_scales_, *value_scales_;  // of an int8 cache
  const char *unsafe_;
  int32_t *q_;        // [rows][key_units]
  float *scores_;     // [rows][kKeyBlock]
  int32_t *weights_;  // [rows][kKeyBlock / pack]; for f32 the same memory as the scores
  float *y_;          // [rows][y_stride_]
  float *sum_;        // [rows][vector]
  float *block_max_;  // [rows][vector]
  float *maximum_;    // [rows], in units of log2, after scaling
  Row *row_;          // [rows]
  int64_t y_stride_;
};

template <class Product, class T>
Prefill<Product, T>::Prefill(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task)
    : p_(p), s_(s), part_(part), of_(part.sequence), epilogue_(p), softcap_(p), int8_(p.k.dtype == GA_I8) {
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
  scores_ = scratch.take<float>(rows * kKeyBlock);
  weights_ = Product::kPack == 1 ? reinterpret_cast<int32_t *>(scores_) : scratch.take<int32_t>(rows * kKeyBlock / 2);
  y_ = scratch.take<float>(rows * y_stride_);
  sum_ = scratch.take<float>(rows * kWidth);
  block_max_ = scratch.take<float>(rows * kWidth);
  maximum_ = scratch.take<float>(rows);
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
    scores(first, keys);
    softmax(first, keys);
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
    maximum_[r] = -__builtin_inff();
    store(sum_ + r * kWidth, zero());
    store(block_max_ + r * kWidth, set(-__builtin_inff()));
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

template <class Product, class T>
void Prefill<Product, T>::scores(int64_t first, int64_t keys) {
  GA_STAGE(kScores);
  const int64_t units = s_.key_units;
  for (int64_t c = 0; c < keys; c += kPanel) {
    const int64_t key = first + c;
    const int32_t *panel = key_panel(key);
    Ahead ahead(c + kPanel < keys ? panel + units * kPanel : value_panel(first, 0), units);
    for (int64_t r = 0; r < rows_; r += kTile) {
      const Tile t = tile_at(r);
      if (key >= t.hi || key + kPanel <= t.lo) continue;
      const bool all = reduces(t, key);
      const int64_t columns = all ? kPanel : t.hi - key;
      float *to = scores_ + r * kKeyBlock + c, *row_max = block_max_ + r * kWidth;
      const int32_t *q = q_ + r * units;
      all ? multiply_scores<Product, T, true>(t.rows, columns, q, panel, units, to, kKeyBlock, ahead, row_max)
          : multiply_scores<Product, T, false>(t.rows, columns, q, panel, units, to, kKeyBlock, ahead);
    }
  }
}

// References of a tile's rows before their weights: each is a chain of instructions that wait for one another, so six are under way.
template <class Product, class T>
void Prefill<Product, T>::softmax(int64_t first, int64_t keys) {
  GA_STAGE(kSoftmax);
  const int64_t queries_before = part_.query_block / p_.group, heads_before = part_.query_block % p_.group;
  for (int64_t r = 0; r < rows_; r += kTile) {
    const Tile t = tile_at(r);
    if (t.hi <= first || t.lo >= first + keys) continue;
    for (int64_t i = r; i < r + t.rows; i++) raise_reference(i, t, first, keys);
    for (int64_t i = r; i < r + t.rows; i++) {
      int8_ ? weigh_row<true>(i, t, first, keys) : weigh_row<false>(i, t, first, keys);
      const Row &row = row_[i];
      if (first + keys < row.sees.hi)
        continue;  // its end is near: so is that of the task, and the block before comes next
      epilogue_.prefetch(of_.query_entry, row.query, row.head);
      if (row0_ == 0) continue;
      const int64_t head = row.head - heads_before;
      const bool less = head < h_ * p_.group;
      prefetch_query(row.query - queries_before - less, less ? head + p_.group : head);
    }
  }
}

// From products with the whole numbers of an int8 cache to scores. Keys that were scaled before would be rounded once per element.
template <class Product, class T>
void Prefill<Product, T>::scale_row(int64_t row, int64_t first, int64_t lo, int64_t hi) {
  float *s = scores_ + row * kKeyBlock;
  const float *scale = key_scales_ + (first - part_.first_packed);
  for (int64_t j = lo / kWidth * kWidth; j < hi; j += kWidth) store(s + j, mul(load(s + j), load(scale + j)));
}

// tanh rises, so the maximum that the microkernel left is mapped as the scores are.
template <class Product, class T>
void Prefill<Product, T>::cap_row(int64_t row, int64_t lo, int64_t hi) {
  softcap_.apply(scores_ + row * kKeyBlock, lo, hi);
  float *reduced = block_max_ + row * kWidth;
  // Where nothing was reduced it is -infinity, which a scale of 0 would turn into NaN.
  store(reduced, softcap_.apply(max(set(-3.40282347e38f), load(reduced))));
}

// The highest score of the row in columns [lo, hi) of the block.
template <class Product, class T>
float Prefill<Product, T>::highest_score(int64_t row, const Tile &t, int64_t first, int64_t lo, int64_t hi) const {
  const float *s = scores_ + row * kKeyBlock;
  float *reduced = block_max_ + row * kWidth;
  const F lowest = set(-__builtin_inff());
  F m = load(reduced);
  store(reduced, lowest);
  for (int64_t c = lo / kPanel * kPanel; c < hi; c += kPanel) {
    if (reduces(t, first + c)) continue;
    for (int64_t j = c; j < c + kPanel && j < hi; j += kWidth) {
      F x = load(s + j);
      if (j < lo || j + kWidth > hi) x = keep_range(x, static_cast<int>(lo - j), static_cast<int>(hi - j), lowest);
      m = max(m, x);
    }
  }
  return reduce_max(m);
}

// What the row's weights refer to follows its highest score, and what was summed up before with it.
template <class Product, class T>
void Prefill<Product, T>::raise_reference(int64_t row, const Tile &t, int64_t first, int64_t keys) {
  const auto [lo, hi] = columns_seen(row, first, keys);
  if (lo >= hi) return;
  if (int8_) scale_row(row, first, lo, hi);
  if (softcap_.capped()) cap_row(row, lo, hi);
  const float block = RowWeights::reference(highest_score(row, t, first, lo, hi), softcap_) - headroom(int8_);
  const float maximum = maximum_[row];
  if (!(block > maximum + kRescaleAt)) return;
  maximum_[row] = block;
  if (maximum == -__builtin_inff()) return;
  const F shrink = exp2<kFine>(set(maximum - block));
  float *y = y_ + row * y_stride_, *sum = sum_ + row * kWidth;
  for (int64_t d = 0; d < y_stride_; d += kWidth) store(y + d, mul(load(y + d), shrink));
  store(sum, mul(load(sum), shrink));
}

// Weights of keys key .. key + 2 vectors.
template <class Product, class T>
void Prefill<Product, T>::store_weights(int64_t row, int64_t key, F low, F high) {
#ifdef GA_NATIVE_BF16
  if constexpr (Product::kPack == 2)
    return store_units(weights_ + (static_cast<uint64_t>(row * kKeyBlock + key) >> 1), pack_pairs(low, high));
#endif
  store(scores_ + row * kKeyBlock + key, low);
  store(scores_ + row * kKeyBlock + key + kWidth, high);
}

template <class Product, class T>
template <bool int8>
void Prefill<Product, T>::weigh_row(int64_t row, const Tile &t, int64_t first, int64_t keys) {
  constexpr int64_t step = 2 * kWidth;
  // Columns that this row sees, and those that the tile multiplies: between the two, weights are 0.
  const auto [lo, hi] = columns_seen(row, first, keys);
  const int64_t end = first + keys;
  const int64_t tile_lo = ((t.lo > first ? t.lo : first) - first) / step * step;
  const int64_t tile_hi = round_up((t.hi < end ? t.hi : end) - first, step);

  float *s = scores_ + row * kKeyBlock;
  RowWeights weights(softcap_, maximum_[row]);
  weights.prepare(s, tile_lo, tile_hi);
  const auto mask = [&](int64_t j, F &low, F &high) {
    if (lo <= j && j + step <= hi) return;
    low = keep_range(low, static_cast<int>(lo - j), static_cast<int>(hi - j), zero());
    high = keep_range(high, static_cast<int>(lo - j) - kWidth, static_cast<int>(hi - j) - kWidth, zero());
  };
  F even = zero(), odd = zero();
  for (int64_t j = tile_lo; j < tile_hi; j += step) {
    F low = weights(load(s + j)), high = weights(load(s + j + kWidth));
    mask(j, low, high);
    even = add(even, low);
    odd = add(odd, high);
    if constexpr (int8) {
      const float *scale = value_scales_ + (first - part_.first_packed) + j;
      low = mul(low, load(scale));
      high = mul(high, load(scale + kWidth));
      mask(j, low, high);  // scales of keys that this row does not see may be anything
    }
    store_weights(row, j, low, high);
  }
  store(sum_ + row * kWidth, add(load(sum_ + row * kWidth), add(even, odd)));
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
        const int32_t *weights = weights_ + r * stride + unit, *at = values + unit * kPanel, *fetch = ahead.take(n);
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
    const int32_t *weights = weights_ + r * stride;
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
                     reduce_add(load(sum_ + r * kWidth)), maximum_[r]);
}

template <class Product, class T>
static void prefill_task(const Problem &p, const Schedule &s, const Part &part, char *shared, char *own, int64_t task) {
  Prefill<Product, T>(p, s, part, shared, own, task).run();
}

}  // namespace
}  // namespace ga::GA_ISA
