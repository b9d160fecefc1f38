// A block of query rows as the backward pass multiplies with it: Q and dY packed both ways, L and Delta, and which keys each row sees.
#pragma once

#include "cpu/backward_rows.h"

namespace ga::GA_ISA {
namespace {

// One value of a unit: of a pair, the one at an even or an odd index.
template <class Product>
GA_INLINE float half_of(int32_t unit, int64_t index) {
  union {
    uint32_t u;
    float f;
  } bits = {static_cast<uint32_t>(unit)};
  if (Product::kPack == 2) bits.u = index & 1 ? bits.u & 0xffff0000u : bits.u << 16;
  return bits.f;
}

// Of an operand [column panels][capacity / pack][panel].
template <class Product>
GA_INLINE float packed_value(const int32_t *by_dims, int64_t capacity, int64_t index, int64_t d) {
  const int64_t unit = d / kPanel * (capacity / Product::kPack) + index / Product::kPack;
  return half_of<Product>(by_dims[unit * kPanel + d % kPanel], index);
}

template <class Product, class T>
class BackwardQueries {
 public:
  static constexpr int64_t kPack = Product::kPack, kTile = Product::kRowsAtOnce;
  // Where products take whole steps of units, rows and keys that fill one up have weights of 0.
  static constexpr bool kSteps = Product::kUnitsAtOnce > 1;
  static constexpr int64_t kStep = kPack * Product::kUnitsAtOnce;
  using Stored = std::conditional_t<kPack == 2, bf16, float>;

  struct Tile {  // rows that go through the microkernel together
    int64_t row;
    int rows;
    int64_t lo, lo_all, hi_all, hi;  // keys of the block: some row sees [lo, hi), every row sees [lo_all, hi_all)
  };

  BackwardQueries(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part, const char *shared,
                  int64_t head)
      : capacity(round_up(s.query_block, kPanel)),
        ld_dims(capacity / kPack + 16),
        p_(p),
        s_(s),
        part_(part),
        of_(part.sequence),
        h_(head),
        all_lse_(reinterpret_cast<const float *>(shared + s.lse_offset)),
        all_delta_(reinterpret_cast<const float *>(shared + s.delta_offset)),
        all_dy_(reinterpret_cast<const Stored *>(shared + s.dy_offset)) {}
  void take(Scratch &scratch);
  void load(int64_t query_block);
  // What the rows see of keys [from, from + keys).
  void clip(int64_t from, int64_t keys);

  Tile tile_at(int64_t row) const {
    const int64_t n = count - row < kTile ? count - row : kTile;
    return {row, static_cast<int>(n), sees[row].lo, sees[row + n - 1].lo, sees[row].hi, sees[row + n - 1].hi};
  }
  int64_t position(int64_t row) const { return (first + row) / p_.group; }
  int64_t query_head(int64_t row) const { return h_ * p_.group + (first + row) % p_.group; }

  const int64_t capacity, ld_dims;
  int64_t first = 0, real = 0, count = 0;  // the first row among all; how many; in whole pairs, or steps
  bool q_safe = true, dy_safe = true;      // no infinity, no NaN
  int32_t *q, *dy;                         // [rows][units]
  int32_t *q_by_dims, *dy_by_dims;         // [column panels][capacity / pack][panel]
  int32_t *q_dims, *dy_dims;               // in steps: [dims][ld_dims], pairs of rows
  float *lse, *delta;                      // [rows]
  KeyRange *sees;                          // [rows], keys of the block

 private:
  template <class E, class RowAt>
  bool load_operand(const RowAt &row_at, int64_t dims, int64_t units, bool negate, int32_t *by_rows, int32_t *by_dims,
                    int32_t *dims_by_rows) const;

  const BackwardProblem &p_;
  const BackwardSchedule &s_;
  const BackwardPart &part_;
  const Sequence &of_;
  const int64_t h_;
  const float *all_lse_, *all_delta_;
  const Stored *all_dy_;
  KeyRange *all_seen_;  // [rows], keys of the sequence
};

template <class Product, class T>
void BackwardQueries<Product, T>::take(Scratch &scratch) {
  const int64_t rows = capacity + 8, columns = round_up(p_.head_dim, kPanel),
                value_columns = round_up(p_.head_dim_v, kPanel);
  q = scratch.take<int32_t>(rows * s_.key_units);
  dy = scratch.take<int32_t>(rows * s_.value_units);
  q_by_dims = scratch.take<int32_t>(rows * columns / kPack);
  dy_by_dims = scratch.take<int32_t>(rows * value_columns / kPack);
  q_dims = kSteps ? scratch.take<int32_t>(columns * ld_dims) : nullptr;
  dy_dims = kSteps ? scratch.take<int32_t>(value_columns * ld_dims) : nullptr;
  lse = scratch.take<float>(rows);
  delta = scratch.take<float>(rows);
  all_seen_ = scratch.take<KeyRange>(rows);
  sees = scratch.take<KeyRange>(rows);
}

// A block of rows of an operand, both ways; row_at(row) says where each lies. Returns whether all values are finite.
template <class Product, class T>
template <class E, class RowAt>
bool BackwardQueries<Product, T>::load_operand(const RowAt &row_at, int64_t dims, int64_t units, bool negate,
                                               int32_t *by_rows, int32_t *by_dims, int32_t *dims_by_rows) const {
  bool safe = true;
  for (int64_t c = 0; c < real; c += kPanel) {
    const int64_t n = real - c < kPanel ? real - c : kPanel;
    const char *rows[kPanel];
    for (int64_t j = 0; j < kPanel; j++) rows[j] = row_at(c + (j < n ? j : n - 1));
    if (pack_value_panel<E>(typename Product::ByUnit{}, rows, n, dims, capacity / kPack * kPanel,
                            by_dims + c / kPack * kPanel))
      safe = false;
    for (int64_t j = 0; j < n; j++) {
      int32_t *row = by_rows + (c + j) * units;
      pack_row<Product>(reinterpret_cast<const E *>(rows[j]), dims / kPack, row, negate);
      zero_from(row, dims / kPack, units);
    }
  }
  if constexpr (kSteps) {
    const int64_t pairs = capacity / kPack;
    for (int64_t d = 0; d < dims; d += kWidth)
      for (int64_t u = 0; u < count / kPack; u += kWidth)
        transpose_block(by_dims + (d / kPanel * pairs + u) * kPanel + d % kPanel, kPanel, dims_by_rows + d * ld_dims + u,
                        ld_dims);
  }
  for (int64_t u = real * units; u < count * units; u++) by_rows[u] = 0;
  return safe;
}

template <class Product, class T>
void BackwardQueries<Product, T>::load(int64_t query_block) {
  GA_STAGE(kQueries);
  first = query_block * part_.query_block;
  real = part_.rows - first < part_.query_block ? part_.rows - first : part_.query_block;
  count = round_up(real, kStep);
  const int64_t index = stored_row(p_, of_.query_entry, of_.query_row, h_ * p_.group) + first;
  for (int64_t r = 0; r < real; r++) {
    all_seen_[r] = visible_keys(p_, of_, position(r));
    lse[r] = kPack == 2 ? all_lse_[index + r] * kLog2E : all_lse_[index + r];
    delta[r] = all_delta_[index + r];
  }
  for (int64_t r = real; r < count; r++) lse[r] = delta[r] = 0;
  const auto query = [&](int64_t r) { return p_.q.at(of_.query_entry, of_.query_row + position(r), query_head(r)); };
  const auto dout = [&](int64_t r) { return p_.dout.at(of_.query_entry, of_.query_row + position(r), query_head(r)); };
  const auto stored = [&](int64_t r) { return reinterpret_cast<const char *>(all_dy_ + (index + r) * p_.head_dim_v); };
  q_safe = load_operand<T>(query, p_.head_dim, s_.key_units, p_.scale < 0, q, q_by_dims, q_dims);
  dy_safe = s_.stores_dy ? load_operand<Stored>(stored, p_.head_dim_v, s_.value_units, false, dy, dy_by_dims, dy_dims)
                         : load_operand<T>(dout, p_.head_dim_v, s_.value_units, false, dy, dy_by_dims, dy_dims);
}

template <class Product, class T>
void BackwardQueries<Product, T>::clip(int64_t from, int64_t keys) {
  const auto clip = [&](int64_t key) { return key < from ? 0 : key - from > keys ? keys : key - from; };
  for (int64_t r = 0; r < real; r++) sees[r] = {clip(all_seen_[r].lo), clip(all_seen_[r].hi)};
  for (int64_t r = real; r < count; r++) sees[r] = {sees[r - 1].hi, sees[r - 1].hi};
}

}  // namespace
}  // namespace ga::GA_ISA
