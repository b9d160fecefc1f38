// The backward pass of attention: some blocks of keys of a key/value head against all query rows that see any of them.
//
//   for each block of query rows, late ones first, and each of the blocks of keys:
//     S = Q K^T, dP = dY V^T   →   P = exp2(S - L), dS = P (dP - Delta)   →   dV += P^T dY,  dK += dS^T Q,  dQ += dS K
//
// All five products go through the microkernel. S and dP exist for six rows by one panel at a time, in the nearest cache; P and dS
// for a block of rows by the block of keys; dK and dV stay in the second cache until all rows have passed. dQ lies in f32 in the
// scratch: key blocks add to it one after another, by a ticket per block of rows, so that its bits do not depend on who is first.
#pragma once

#include "core/thread_pool.h"
#include "cpu/backward_blank.h"
#include "cpu/backward_fetch.h"
#include "cpu/backward_weights.h"
#include "cpu/scores.h"

namespace ga::GA_ISA {
namespace {

GA_INLINE void copy_rows(const float *from, int64_t from_stride, float *to, int64_t to_stride, int64_t rows,
                         int64_t columns) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t d = 0; d < columns; d += kWidth) store(to + i * to_stride + d, load(from + i * from_stride + d));
}

template <class Product, class T>
class Backward {
 public:
  Backward(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part, char *shared, char *own,
           int64_t head, int64_t task);
  void run();

 private:
  using Queries = BackwardQueries<Product, T>;
  using Tile = typename Queries::Tile;
  using Weights = BackwardWeights<Product, T>;
  using Scored = typename Weights::Scored;
  static constexpr int64_t kPack = Queries::kPack, kTile = Queries::kTile, kStep = Queries::kStep;
  static constexpr bool kSteps = Queries::kSteps;

  struct Keys {  // a block of them
    int64_t number, first, keys;
    bool safe;                          // no infinity, no NaN
    int32_t *by_dims, *values_by_dims;  // [panels][units][panel]
    int32_t *by_keys;                   // [column panels][keys / pack][panel]
    float *dk, *dv;                     // [keys][stride]; in steps: [dims][ld]
  };

  void load_keys();
  void load_panel(const char *const *rows, int64_t count, int64_t dims, int64_t units, int32_t *panel) const {
    pack_key_panel<Product, T>(rows, count, dims / kPack, panel);
    zero_from(panel, dims / kPack * kPanel, units * kPanel);
  }
  void weights();
  template <class Beside>
  void score(const Scored &s, Beside beside);
  void plan_fetches(int64_t query_block, int64_t turn, bool first, bool last);
  void add_to_keys();
  void add_to_keys(const int32_t *weights, const int32_t *rows_by_dims, int64_t dims, bool safe, float *to,
                   int64_t stride);
  void add_steps_to_keys(const int32_t *weights, const int32_t *rows_by_dims, const int32_t *dims_by_rows, int64_t dims,
                         bool safe, float *to);
  void add_exactly(const int32_t *weights, const int32_t *rows_by_dims, int64_t column, int64_t dims, int64_t key,
                   int64_t keys, float *sum, int64_t key_stride, int64_t dim_stride) const;
  void add_to_queries(bool is_first);
  static void wait_for(const int32_t *ticket, int64_t turn);
  void store_queries() const;
  void store_keys() const;
  void store_keys(const View &view, const float *sums, int64_t stride, int32_t *rows, float factor, int64_t dims) const;

  int32_t *ticket(int64_t query_block) const {
    return reinterpret_cast<int32_t *>(tickets_ +
                                       (part_.first_ticket + h_ * part_.query_blocks + query_block) * kTicketBytes);
  }
  float *dq_rows() const { return dq_ + (part_.first_row + h_ * part_.rows + rows_.first) * s_.dq_stride; }

  const BackwardProblem &p_;
  const BackwardSchedule &s_;
  const BackwardPart &part_;
  const Sequence &of_;
  const int64_t h_, task_;
  int64_t blocks_;  // of keys
  Keys block_[kBackwardBlocks];
  Keys *at_ = block_;  // the one that meets the rows
  bool needs_ds_;
  int64_t dk_stride_, dv_stride_;

  float *dq_;
  char *tickets_;

  float *zeros_;

  Queries rows_;
  Weights weights_;
  BackwardFetch fetch_;
};

template <class Product, class T>
Backward<Product, T>::Backward(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part,
                               char *shared, char *own, int64_t head, int64_t task)
    : p_(p),
      s_(s),
      part_(part),
      of_(part.sequence),
      h_(head),
      task_(task),
      rows_(p, s, part, shared, head),
      weights_(Softcap(p), rows_),
      fetch_(p, s, part, head, shared + s.dy_offset, p.head_dim_v * int64_t{sizeof(typename Queries::Stored)}) {
  const int64_t first_block = task * s.blocks_per_task, blocks_left = part.key_blocks - first_block;
  blocks_ = blocks_left < s.blocks_per_task ? blocks_left : s.blocks_per_task;
  dq_ = reinterpret_cast<float *>(shared + s.dq_offset);
  tickets_ = shared + s.tickets_offset;

  const int64_t keys = s.key_block, columns = round_up(p.head_dim, kPanel),
                value_columns = round_up(p.head_dim_v, kPanel);
  dk_stride_ = columns;
  dv_stride_ = value_columns;
  Scratch scratch(own);
  for (int64_t n = 0; n < blocks_; n++) {
    const int64_t number = first_block + n, left = of_.keys - number * s.key_block;
    block_[n] = {number,
                 number * s.key_block,
                 left < s.key_block ? left : s.key_block,
                 true,
                 scratch.take<int32_t>(keys * s.key_units),
                 scratch.take<int32_t>(keys * s.value_units),
                 scratch.take<int32_t>(keys * columns / kPack),
                 scratch.take<float>((keys + 16) * columns),
                 scratch.take<float>((keys + 16) * value_columns)};
  }
  rows_.take(scratch);
  weights_.take(scratch, keys);
  zeros_ = scratch.take<float>(kBackwardZeros);
  needs_ds_ = p.dq.data || p.dk.data;
  if (!needs_ds_) weights_.without_dp();
}

template <class Product, class T>
void Backward<Product, T>::run() {
  [[maybe_unused]] const typename Product::Registers registers;
  fill_zero(zeros_, kBackwardZeros);
  if (task_ == 0) blank(p_, s_, part_, h_, zeros_);
  if (of_.keys == 0) return;
  for (at_ = block_; at_ < block_ + blocks_; at_++) {
    load_keys();
    fill_zero(at_->dk, kSteps ? dk_stride_ * weights_.ld : at_->keys * dk_stride_);
    fill_zero(at_->dv, kSteps ? dv_stride_ * weights_.ld : at_->keys * dv_stride_);
  }
  for (int64_t i = part_.query_blocks - 1; i >= 0; i--) {
    const KeyBlocks seen = key_blocks_of(p_, s_, part_, i);
    const int64_t first = seen.first - block_[0].number, end = seen.end - block_[0].number;
    if (first >= blocks_ || end <= 0) continue;
    rows_.load(i);
    Keys *const from = block_ + (first > 0 ? first : 0), *const to = block_ + (end < blocks_ ? end : blocks_);
    for (at_ = from; at_ < to; at_++) {
      const int64_t turn = at_->number - seen.first;
      rows_.clip(at_->first, at_->keys);
      weights();
      plan_fetches(i, turn, at_ == from, at_ + 1 == to);
      add_to_keys();
      if (!p_.dq.data) continue;
      wait_for(ticket(i), turn);
      add_to_queries(turn == 0);
      if (at_->number + 1 == seen.end) store_queries();
      __atomic_store_n(ticket(i), static_cast<int32_t>(turn + 1), __ATOMIC_RELEASE);
    }
  }
  for (at_ = block_; at_ < block_ + blocks_; at_++) store_keys();
}

template <class Product, class T>
void Backward<Product, T>::add_to_keys() {
  if constexpr (kSteps) {
    if (p_.dv.data) add_steps_to_keys(weights_.p, rows_.dy_by_dims, rows_.dy_dims, p_.head_dim_v, rows_.dy_safe, at_->dv);
    if (p_.dk.data) add_steps_to_keys(weights_.ds, rows_.q_by_dims, rows_.q_dims, p_.head_dim, rows_.q_safe, at_->dk);
  } else {
    if (p_.dv.data) add_to_keys(weights_.p, rows_.dy_by_dims, p_.head_dim_v, rows_.dy_safe, at_->dv, dv_stride_);
    if (p_.dk.data) add_to_keys(weights_.ds, rows_.q_by_dims, p_.head_dim, rows_.q_safe, at_->dk, dk_stride_);
  }
}

// Keys that no row of the sequence sees are taken as 0, whatever they hold.
template <class Product, class T>
void Backward<Product, T>::load_keys() {
  GA_STAGE(kKeys);
  const int64_t seen_lo = part_.rows > 0 ? visible_keys(p_, of_, 0).lo : 0;
  const int64_t seen_hi = part_.rows > 0 ? visible_keys(p_, of_, of_.queries - 1).hi : 0;
  const int64_t unit_rows = s_.key_block / kPack;
  for (int64_t c = 0; c < at_->keys; c += kPanel) {
    const int64_t count = at_->keys - c < kPanel ? at_->keys - c : kPanel;
    const char *keys[kPanel], *values[kPanel];
    for (int64_t j = 0; j < kPanel; j++) {
      const int64_t key = at_->first + c + (j < count ? j : count - 1);
      const bool seen = seen_lo <= key && key < seen_hi;
      keys[j] = seen ? p_.k.at(of_.key_entry, of_.key_row + key, h_) : reinterpret_cast<const char *>(zeros_);
      values[j] = seen ? p_.v.at(of_.key_entry, of_.key_row + key, h_) : reinterpret_cast<const char *>(zeros_);
    }
    load_panel(keys, count, p_.head_dim, s_.key_units, at_->by_dims + c * s_.key_units);
    load_panel(values, count, p_.head_dim_v, s_.value_units, at_->values_by_dims + c * s_.value_units);
    if (pack_value_panel<T>(typename Product::ByUnit{}, keys, count, p_.head_dim, unit_rows * kPanel,
                            at_->by_keys + c / kPack * kPanel))
      at_->safe = false;
  }
}

// Where a product leaves room for it, P and dS of a tile are found beside the next one's.
template <class Product, class T>
void Backward<Product, T>::weights() {
  const bool beside = Weights::kBeside && needs_ds_ && Weights::Steps::kCount <= s_.value_units;
  Scored last{};
  for (int64_t c = 0; c < at_->keys; c += kPanel) {
    for (int64_t r = 0; r < rows_.count; r += kTile) {
      const Tile t = rows_.tile_at(r);
      if (t.hi <= c || t.lo >= c + kPanel || t.lo >= t.hi) {
        weights_.clear(t, c, 0);
        continue;
      }
      const bool all = t.lo_all <= c && c + kPanel <= t.hi_all;
      const int64_t columns = all || t.hi - c > kPanel ? kPanel : t.hi - c;
      const Scored now{t, c, columns, all, weights_.turn_after(last.turn)};
      if constexpr (Weights::kBeside) {
        if (beside && last.t.rows > 0 && weights_.in_steps(last) && t.rows == kTile && columns > kPanel - kWidth) {
          score(now, typename Weights::Steps(weights_, last));
        } else {
          if (last.t.rows > 0) weights_.weigh(last);
          score(now, Idle());
        }
        last = now;
      } else {
        score(now, Idle());
        weights_.weigh(now);
      }
    }
  }
  if (last.t.rows > 0) weights_.weigh(last);
}

// S and dP of a tile of rows by a panel of keys.
template <class Product, class T>
template <class Beside>
GA_ALWAYS_INLINE void Backward<Product, T>::score(const Scored &s, Beside beside) {
  GA_STAGE(kScores);
  const int32_t *keys = at_->by_dims + s.panel * s_.key_units, *values = at_->values_by_dims + s.panel * s_.value_units;
  Ahead ahead(values, s_.key_units);
  multiply_scores<Product, T, false>(s.t.rows, s.columns, rows_.q + s.t.row * s_.key_units, keys, s_.key_units,
                                     weights_.scores_of(s), kPanel, ahead);
  if (!needs_ds_) return;
  const int32_t *dy = rows_.dy + s.t.row * s_.value_units;
  if constexpr (std::is_same_v<Beside, Idle>)
    multiply<Product, kStore>(s.t.rows, s.columns, dy, s_.value_units, values, s_.value_units, weights_.dp_of(s), kPanel,
                              keys);
  else
    multiply<Product, kStore>(s.t.rows, s.columns, dy, s_.value_units, values, s_.value_units, weights_.dp_of(s), kPanel,
                              keys, nullptr, 1, nullptr, beside);
}

// first, last: of the blocks of keys that meet these rows. The sums of dQ are left alone while another thread still adds to them.
template <class Product, class T>
void Backward<Product, T>::plan_fetches(int64_t query_block, int64_t turn, bool first, bool last) {
  const auto calls_for = [&](int64_t dims) {
    return kSteps ? ceil_div(dims, kTile) * ceil_div(at_->keys, kPanel)
                  : ceil_div(dims, kPanel) * ceil_div(at_->keys, kTile);
  };
  const int64_t calls = (p_.dk.data ? calls_for(p_.head_dim) : 0) + (p_.dv.data ? calls_for(p_.head_dim_v) : 0);
  const bool own_turn = first && p_.dq.data && __atomic_load_n(ticket(query_block), __ATOMIC_RELAXED) == turn;
  fetch_.plan(query_block, last, dq_rows(), own_turn ? rows_.real * s_.dq_stride * 4 : 0, calls);
}

// to [keys][dims] += weights^T rows, weights being P or dS and rows dY or Q.
template <class Product, class T>
void Backward<Product, T>::add_to_keys(const int32_t *weights, const int32_t *rows_by_dims, int64_t dims, bool safe,
                                       float *to, int64_t stride) {
  GA_STAGE(kGradientsOfKeys);
  for (int64_t c = 0; c < dims; c += kPanel) {
    int64_t first_row = 0, end_row = 0;  // those that see any key of the tile
    for (int64_t n = 0; n < at_->keys; n += kTile) {
      const int64_t keys = at_->keys - n < kTile ? at_->keys - n : kTile;
      while (first_row < rows_.count && rows_.sees[first_row].hi <= n) first_row++;
      while (end_row < rows_.count && rows_.sees[end_row].lo < n + keys) end_row++;
      fetch_.some();
      if (first_row >= end_row) continue;
      const int64_t unit = first_row / kPack, end = ceil_div(end_row, kPack);
      float *sum = to + n * stride + c;
      if (!safe && (rows_.sees[unit * kPack].hi < n + keys || rows_.sees[end * kPack - 1].lo > n)) {
        add_exactly(weights, rows_by_dims, c, dims, n, keys, sum, stride, 1);
        continue;
      }
      const int32_t *rows = rows_by_dims + (c / kPanel * (rows_.capacity / kPack) + unit) * kPanel;
      multiply<Product, kAccumulate, kColumns>(static_cast<int>(keys), dims - c, weights + unit * weights_.ld + n,
                                               weights_.ld, rows, end - unit, sum, stride, rows);
    }
  }
}

// The same transposed, to [dims][keys] += rows^T weights, where products take whole steps: the rows are transposed once per
// block, P and dS lie as they are.
template <class Product, class T>
void Backward<Product, T>::add_steps_to_keys(const int32_t *weights, const int32_t *rows_by_dims,
                                             const int32_t *dims_by_rows, int64_t dims, bool safe, float *to) {
  GA_STAGE(kGradientsOfKeys);
  int64_t first_row = 0, end_row = 0;  // those that see any key of the panel
  for (int64_t n = 0; n < at_->keys; n += kPanel) {
    const int64_t keys = at_->keys - n < kPanel ? at_->keys - n : kPanel;
    while (first_row < rows_.count && rows_.sees[first_row].hi <= n) first_row++;
    while (end_row < rows_.count && rows_.sees[end_row].lo < n + keys) end_row++;
    const int64_t first = first_row / kStep * kStep, end = round_up(end_row, kStep);
    const bool exactly = !safe && first_row < end_row && (rows_.sees[first].hi < n + keys || rows_.sees[end - 1].lo > n);
    for (int64_t d = 0; d < dims; d += kTile) {
      fetch_.some();
      if (first_row >= end_row) continue;
      float *sum = to + d * weights_.ld + n;
      if (exactly)
        add_exactly(weights, rows_by_dims, d, d + kTile < dims ? d + kTile : dims, n, keys, sum, 1, weights_.ld);
      else
        Product::template multiply<kAccumulate>(dims - d, keys, dims_by_rows + d * rows_.ld_dims + first / kPack,
                                                rows_.ld_dims, weights + first / kPack * weights_.ld + n, weights_.ld,
                                                (end - first) / kPack, sum, weights_.ld, weights);
    }
  }
}

// The slow way, for an infinity or NaN among the rows where some do not see some of the keys: 0 * NaN would reach these.
template <class Product, class T>
void Backward<Product, T>::add_exactly(const int32_t *weights, const int32_t *rows_by_dims, int64_t column, int64_t dims,
                                       int64_t key, int64_t keys, float *sum, int64_t key_stride,
                                       int64_t dim_stride) const {
  const int64_t columns = dims - column < kPanel ? dims - column : kPanel;
  for (int64_t n = key; n < key + keys; n++)
    for (int64_t r = 0; r < rows_.real; r++) {
      if (n < rows_.sees[r].lo || n >= rows_.sees[r].hi) continue;
      const float weight = half_of<Product>(weights[r / kPack * weights_.ld + n], r);
      for (int64_t d = 0; d < columns; d++)
        sum[(n - key) * key_stride + d * dim_stride] +=
            weight * packed_value<Product>(rows_by_dims, rows_.capacity, r, column + d);
    }
}

// dQ += dS K. The first key block of the rows finds nothing there yet.
template <class Product, class T>
void Backward<Product, T>::add_to_queries(bool is_first) {
  GA_STAGE(kGradientsOfQueries);
  float *dq = dq_rows();
  const int64_t stride = s_.dq_stride;
  for (int64_t c = 0; c < p_.head_dim; c += kPanel)
    for (int64_t r = 0; r < rows_.real; r += kTile) {
      const Tile t = rows_.tile_at(r);
      const int rows = static_cast<int>(rows_.real - r < kTile ? rows_.real - r : kTile);
      const int64_t columns = p_.head_dim - c < kPanel ? p_.head_dim - c : kPanel;
      float *sum = dq + r * stride + c;
      const int64_t unit = t.lo / kStep * Product::kUnitsAtOnce, end = ceil_div(t.hi, kStep) * Product::kUnitsAtOnce;
      const bool exactly = !at_->safe && (t.lo_all > unit * kPack || t.hi_all < end * kPack);
      if (is_first && (exactly || t.lo >= t.hi))
        for (int i = 0; i < rows; i++) fill_zero(sum + i * stride, columns);
      if (t.lo >= t.hi) continue;
      if (exactly) {
        for (int64_t i = r; i < r + rows; i++)
          for (int64_t key = rows_.sees[i].lo; key < rows_.sees[i].hi; key++) {
            const float weight = half_of<Product>(weights_.ds[i / kPack * weights_.ld + key], i);
            for (int64_t d = 0; d < columns; d++)
              sum[(i - r) * stride + d] += weight * packed_value<Product>(at_->by_keys, s_.key_block, key, c + d);
          }
        continue;
      }
      const int32_t *keys = at_->by_keys + (c / kPanel * (s_.key_block / kPack) + unit) * kPanel;
      const int32_t *ds = weights_.ds_rows + r * weights_.ld_rows + unit;
      if (kSteps && rows % kWidth != 0) {  // whole tile registers would reach into rows of others
        if (!is_first) copy_rows(sum, stride, weights_.spare(), kPanel, rows, columns);
        if (is_first)
          multiply<Product, kStore>(rows, columns, ds, weights_.ld_rows, keys, end - unit, weights_.spare(), kPanel,
                                    keys);
        else
          multiply<Product, kAccumulate>(rows, columns, ds, weights_.ld_rows, keys, end - unit, weights_.spare(), kPanel,
                                         keys);
        copy_rows(weights_.spare(), kPanel, sum, stride, rows, columns);
      } else if (is_first)
        multiply<Product, kStore>(rows, columns, ds, weights_.ld_rows, keys, end - unit, sum, stride, keys);
      else
        multiply<Product, kAccumulate>(rows, columns, ds, weights_.ld_rows, keys, end - unit, sum, stride, keys);
    }
}

// Until the key blocks before have added theirs: these were claimed earlier, by threads that run.
template <class Product, class T>
void Backward<Product, T>::wait_for(const int32_t *ticket, int64_t turn) {
  spin_until([=]() __attribute__((always_inline)) { return __atomic_load_n(ticket, __ATOMIC_ACQUIRE) == turn; });
}

// factor: what the whole row is multiplied by.
GA_INLINE void store_scaled(const View &view, char *row, const float *from, float factor, int64_t dims) {
  for (int64_t d = 0; d < dims; d += kWidth)
    store_row(view.dtype, row, d, lanes_left(d, dims), mul(load(from + d), set(factor)));
}

template <class Product, class T>
void Backward<Product, T>::store_queries() const {
  GA_STAGE(kGradientsOfQueries);
  for (int64_t r = 0; r < rows_.real; r++)
    store_scaled(p_.dq, p_.dq.at(of_.query_entry, of_.query_row + rows_.position(r), rows_.query_head(r)),
                 dq_rows() + r * s_.dq_stride, p_.scale, p_.head_dim);
}

template <class Product, class T>
void Backward<Product, T>::store_keys() const {
  GA_STAGE(kGradientsOfKeys);
  if (p_.dk.data) store_keys(p_.dk, at_->dk, dk_stride_, rows_.q, p_.scale, p_.head_dim);
  if (p_.dv.data) store_keys(p_.dv, at_->dv, dv_stride_, rows_.dy, 1, p_.head_dim_v);
}

// rows: memory for a vector of rows that lie transposed.
template <class Product, class T>
void Backward<Product, T>::store_keys(const View &view, const float *sums, int64_t stride, int32_t *rows, float factor,
                                      int64_t dims) const {
  const auto at = [&](int64_t j) { return view.at(of_.key_entry, of_.key_row + at_->first + j, h_); };
  if constexpr (!kSteps) {
    for (int64_t j = 0; j < at_->keys; j++) store_scaled(view, at(j), sums + j * stride, factor, dims);
    return;
  }
  const auto *units = reinterpret_cast<const int32_t *>(sums);
  for (int64_t j = 0; j < at_->keys; j += kWidth) {
    for (int64_t d = 0; d < dims; d += kWidth)
      transpose_block(units + d * weights_.ld + j, weights_.ld, rows + d, stride);
    for (int64_t i = j; i < at_->keys && i < j + kWidth; i++)
      store_scaled(view, at(i), reinterpret_cast<const float *>(rows + (i - j) * stride), factor, dims);
  }
}

template <class Product, class T>
static void backward_products(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part, char *shared,
                              char *own, int64_t head, int64_t task) {
  Backward<Product, T>(p, s, part, shared, own, head, task).run();
}

}  // namespace
}  // namespace ga::GA_ISA
