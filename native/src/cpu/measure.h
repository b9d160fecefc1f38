// Measures attention from saved log-sum-exps: p(i, j) = exp(S(i, j) - L(i)), a block of rows and keys at a time.
//
// Only the keys that count are scored: those of the ranges asked for, or all that a row sees where entropy or a map is wanted.
// Scores are f32 products of q and k, widened where they are narrower; sums over rows and blocks are in double.
#pragma once

#include "core/mask.h"
#include "core/measure.h"
#include "core/sequence.h"
#include "cpu/math.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

constexpr int64_t kScoreChunk = 32;  // terms of a score that are added up in one register
constexpr int64_t kFewKeys = 4;      // up to so many, a block of packed keys would cost more than it saves

class MeasureTask {
 public:
  MeasureTask(const Measure &m, char *own, int64_t task)
      : m_(m),
        p_(m.p),
        b_(task / m.p.heads_q / m.tasks_per_head),
        h_(task % m.p.heads_q),
        block_(task / m.p.heads_q % m.tasks_per_head),
        of_(sequence_of(m.p, b_)),
        rows_(measured_rows(m, of_.queries, block_)),
        sums_(m.partial((b_ * m.p.heads_q + h_) * m.tasks_per_head + block_)) {
    Scratch scratch(own);
    query_ = scratch.take<int32_t>(int64_t{kMeasureRows} * p_.head_dim);
    keys_ = scratch.take<int32_t>(int64_t{kMeasureKeys} * p_.head_dim);
    scores_ = scratch.take<float>(kMeasureRows * kMeasureKeys);
    key_scales_ = p_.k.dtype == GA_I8 ? scratch.take<float>(kMeasureKeys) : nullptr;
    key_cells_ = m.map_columns < of_.keys ? m.map_columns : of_.keys;
    const bool capped = p_.softcap > 0;
    cap_ = p_.softcap < 0x1p64f ? p_.softcap : 0x1p64f;
    const float before = capped ? p_.scale / cap_ : p_.scale;
    before_ = before > 0x1p127f    ? 0x1p127f
              : before < -0x1p127f ? -0x1p127f
                                   : before;  // not infinite: 0 times it would be NaN
  }

  void run() {
    for (int32_t r = 0; r <= m_.ranges; r++) sums_[r] = 0;
    for (int64_t i = rows_.first; i < rows_.end; i += kMeasureRows) {
      first_ = i;
      count_ = static_cast<int>(rows_.end - i < kMeasureRows ? rows_.end - i : kMeasureRows);
      run_rows();
    }
    if (m_.map_rows > 0) divide_map();
  }

 private:
  double *map_row(int64_t cell) const { return m_.map + ((b_ * p_.heads_q + h_) * m_.map_rows + cell) * m_.map_columns; }

  void run_rows() {
    // Both ends of what a row sees rise with the row.
    const int64_t lo = visible_keys(p_, of_, first_).lo, hi = visible_keys(p_, of_, first_ + count_ - 1).hi;
    if (m_.all_keys()) return run_keys(lo, hi, 0, m_.ranges);
    for (int32_t r = 0; r < m_.ranges; r++) {
      const int64_t from = m_.range[r][0] > lo ? m_.range[r][0] : lo, to = m_.range[r][1] < hi ? m_.range[r][1] : hi;
      if (to - from > kFewKeys)
        run_keys(from, to, r, r + 1);
      else
        for (int64_t key = from; key < to; key++) sums_[r] += one_key(key);
    }
  }

  const char *query(int row) const { return p_.q.at(of_.query_entry, of_.query_row + first_ + row, h_); }
  float key_scale(int64_t key) const { return p_.scale_of(p_.k_scale, of_, key, h_ / p_.group); }
  float lse(int row) const {
    return *reinterpret_cast<const float *>(p_.lse.at(of_.query_entry, of_.query_row + first_ + row, h_));
  }

  // The sum over the rows of their probability of one key, by dot products where q lies.
  double one_key(int64_t key) {
    switch (p_.k.dtype) {
      case GA_BF16: widen_key<bf16>(key); break;
      case GA_F16: widen_key<f16>(key); break;
      case GA_I8: widen_key<i8>(key); break;
      default: widen_key<float>(key);
    }
    switch (p_.q.dtype) {
      case GA_BF16: dots<bf16>(); break;
      case GA_F16: dots<f16>(); break;
      default: dots<float>();
    }
    alignas(64) float lses[kMeasureRows + kWidth] = {};
    for (int r = 0; r < count_; r++) lses[r] = lse(r);
    const F scale = set(key_scales_ ? key_scale(key) : 1.0f);
    for (int r = 0; r < count_; r += kWidth)
      store(scores_ + r, exp_negative(surprise(mul(load(scores_ + r), scale), load(lses + r))));
    double sum = 0;
    for (int r = 0; r < count_; r++) {
      const KeyRange sees = visible_keys(p_, of_, first_ + r);
      if (key >= sees.lo && key < sees.hi) sum += scores_[r];
    }
    return sum;
  }

  template <class T>
  void widen_key(int64_t key) {
    const T *row = reinterpret_cast<const T *>(p_.key(p_.k, of_, key, h_ / p_.group));
    float *to = reinterpret_cast<float *>(keys_);
    for (int64_t d = 0; d < p_.head_dim; d += kWidth) {
      const int n = static_cast<int>(p_.head_dim - d < kWidth ? p_.head_dim - d : kWidth);
      store(to + d, n < kWidth ? load(row + d, n) : load(row + d));
    }
  }

  // Of the widened key with each row of q, summed up a vector of rows at a time.
  template <class T>
  void dots() {
    const float *key = reinterpret_cast<const float *>(keys_);
    for (int r = 0; r < count_; r += kWidth) {
      F folded[kWidth / kFold];
      for (int f = 0; f < kWidth / kFold; f++) {
        F a[kFold];
        for (int i = 0; i < kFold; i++) {
          const int own = r + f * kFold + i;
          a[i] = dot(reinterpret_cast<const T *>(query(own < count_ ? own : count_ - 1)), key);
        }
        folded[f] = fold(a);
      }
      store(scores_ + r, join(folded));
    }
  }

  template <class T>
  GA_ALWAYS_INLINE F dot(const T *row, const float *key) const {
    F sum = zero();
    int64_t d = 0;
    for (; d + kWidth <= p_.head_dim; d += kWidth) sum = fma(load(row + d), load(key + d), sum);
    if (d < p_.head_dim) sum = fma(load(row + d, static_cast<int>(p_.head_dim - d)), load(key + d), sum);
    return sum;
  }

  // -ln p from a product and a log-sum-exp. Beyond these limits nothing is left of p, or the log-sum-exp is none of these scores.
  GA_ALWAYS_INLINE F surprise(F product, F lse) const {
    F s = mul(product, set(before_));
    if (p_.softcap > 0) s = mul(tanh(s), set(cap_));
    return max(set(-80.0f), min(set(87.0f), sub(lse, s)));  // this order keeps a NaN
  }

  // Keys [from, to) for the ranges [range, end_range).
  void run_keys(int64_t from, int64_t to, int32_t range, int32_t end_range) {
    if (from >= to) return;
    switch (p_.q.dtype) {
      case GA_BF16: load_queries<bf16>(); break;
      case GA_F16: load_queries<f16>(); break;
      default: load_queries<float>();
    }
    for (int64_t key = from; key < to; key += kMeasureKeys) {
      const int keys = static_cast<int>(to - key < kMeasureKeys ? to - key : kMeasureKeys);
      switch (p_.k.dtype) {
        case GA_BF16: pack_keys<bf16>(key, keys); break;
        case GA_F16: pack_keys<f16>(key, keys); break;
        case GA_I8: pack_keys<i8>(key, keys); break;
        default: pack_keys<float>(key, keys);
      }
      for (int j = 0; key_scales_ && j < keys; j++) key_scales_[j] = key_scale(key + j);
      score(keys);
      for (int r = 0; r < count_; r++) absorb(r, key, keys, range, end_range);
    }
  }

  template <class T>
  void load_queries() {
    for (int r = 0; r < count_; r++)
      pack_row<F32Product>(reinterpret_cast<const T *>(query(r)), p_.head_dim, query_ + int64_t{r} * p_.head_dim, false);
  }

  // Panels [head_dim][kPanel]; missing keys are 0.
  template <class T>
  void pack_keys(int64_t key, int keys) {
    const int64_t kv = h_ / p_.group;
    for (int column = 0; column < keys; column += kWidth) {
      int32_t *panel = keys_ + int64_t{column / kPanel} * kPanel * p_.head_dim + column % kPanel;
      for (int64_t d = 0; d < p_.head_dim; d += kWidth) {
        const int n = static_cast<int>(p_.head_dim - d < kWidth ? p_.head_dim - d : kWidth);
        U lines[kWidth];
        for (int i = 0; i < kWidth; i++) {
          if (column + i >= keys) {
            lines[i] = zero_units();
            continue;
          }
          const T *row = reinterpret_cast<const T *>(p_.key(p_.k, of_, key + column + i, kv)) + d;
          lines[i] = as_units(n < kWidth ? load(row, n) : load(row));
        }
        transpose(lines);
        for (int i = 0; i < n; i++) store_units(panel + (d + i) * kPanel, lines[i]);
      }
    }
  }

  void score(int keys) {
    for (int r = 0; r < count_; r += kTileRows) {
      const int tile_rows = count_ - r < kTileRows ? count_ - r : kTileRows;
      const int32_t *a = query_ + int64_t{r} * p_.head_dim;
      float *c = scores_ + r * kMeasureKeys;
      for (int column = 0; column < keys; column += kPanel) {
        const int32_t *b = keys_ + int64_t{column} * p_.head_dim;
        for (int64_t d = 0; d < p_.head_dim; d += kScoreChunk) {
          const int64_t n = p_.head_dim - d < kScoreChunk ? p_.head_dim - d : kScoreChunk;
          const int32_t *chunk = b + d * kPanel;
          if (d == 0)
            multiply<F32Product, kStore>(tile_rows, keys - column, a, p_.head_dim, chunk, n, c + column, kMeasureKeys,
                                         chunk);
          else
            multiply<F32Product, kAccumulate>(tile_rows, keys - column, a + d, p_.head_dim, chunk, n, c + column,
                                              kMeasureKeys, chunk);
        }
      }
    }
  }

  // Row r's scores become probabilities, which go where they belong.
  void absorb(int r, int64_t key, int keys, int32_t range, int32_t end_range) {
    const int64_t i = first_ + r;
    const KeyRange sees = visible_keys(p_, of_, i);
    const int lo = static_cast<int>(sees.lo > key ? (sees.lo - key < keys ? sees.lo - key : keys) : 0);
    const int hi = static_cast<int>(sees.hi < key + keys ? (sees.hi > key ? sees.hi - key : 0) : keys);
    if (lo >= hi) return;
    float *p = scores_ + r * kMeasureKeys;
    const double entropy = probabilities(p, lo, hi, lse(r));
    if (m_.entropy) sums_[m_.ranges] += entropy;
    for (int32_t n = range; n < end_range; n++) {
      const int64_t from = m_.range[n][0] - key, to = m_.range[n][1] - key;
      sums_[n] += sum(p, from > lo ? from : lo, to < hi ? to : hi);
    }
    if (m_.map_rows == 0) return;
    double *cells = map_row(cell_of(of_.queries, rows_.cells, i));
    for (int64_t cell = cell_of(of_.keys, key_cells_, key + lo), from = lo; from < hi; cell++) {
      const int64_t end = cell_begin(of_.keys, key_cells_, cell + 1) - key, to = end < hi ? end : hi;
      cells[cell] += sum(p, from, to);
      from = to;
    }
  }

  // p [lo, hi) from scores to probabilities, in place; returns their sum of -p ln p.
  double probabilities(float *p, int lo, int hi, float row_lse) const {
    F entropies = zero();
    for (int j = lo / kWidth * kWidth; j < hi; j += kWidth) {
      const F product = load(p + j);
      F x = surprise(key_scales_ ? mul(product, load(key_scales_ + j)) : product, set(row_lse));
      F e = exp_negative(x);
      if (j < lo || j + kWidth > hi) {
        x = keep_range(x, lo - j, hi - j, zero());
        e = keep_range(e, lo - j, hi - j, zero());
      }
      entropies = fma(e, x, entropies);
      store(p + j, e);
    }
    return reduce_add(entropies);
  }

  // Of p [from, to).
  static double sum(const float *p, int64_t from, int64_t to) {
    F total = zero();
    for (int64_t j = from / kWidth * kWidth; j < to; j += kWidth) {
      const F x = load(p + j);
      const bool whole = j >= from && j + kWidth <= to;
      total = add(total, whole ? x : keep_range(x, static_cast<int>(from - j), static_cast<int>(to - j), zero()));
    }
    return from < to ? reduce_add(total) : 0;
  }

  // Sums over the rows of a cell become means over those that see a key.
  void divide_map() const {
    for (int64_t cell = rows_.first_cell; cell < rows_.end_cell; cell++) {
      int64_t rows = 0;
      for (int64_t i = cell_begin(of_.queries, rows_.cells, cell); i < cell_begin(of_.queries, rows_.cells, cell + 1);
           i++) {
        const KeyRange sees = visible_keys(p_, of_, i);
        rows += sees.lo < sees.hi;
      }
      double *cells = map_row(cell);
      for (int64_t n = 0; n < key_cells_ && rows > 0; n++) cells[n] /= static_cast<double>(rows);
    }
  }

  const Measure &m_;
  const Problem &p_;
  const int64_t b_, h_, block_;  // the heads of a block follow each other: their rows lie together
  const Sequence of_;
  const MeasuredRows rows_;
  double *const sums_;
  int64_t key_cells_;
  float cap_, before_;
  int32_t *query_, *keys_;
  float *scores_;
  float *key_scales_;  // of an int8 cache: they multiply its products, which are of whole numbers
  int64_t first_ = 0;  // of the rows at hand
  int count_ = 0;
};

static void measure_task(const Measure &m, char *own, int64_t task) { MeasureTask(m, own, task).run(); }

}  // namespace
}  // namespace ga::GA_ISA
