// The products of decode on AMX, for a tile of 32 keys and the query rows of one head at a time.
//
//   scores [keys][lanes] = K [keys][dims] * Qᵀ [dims][lanes]             keys are read where they lie; those of an int8 cache are widened
//   Y [rows][columns]   += P [rows][keys] * V [keys][columns]            values are interleaved to pairs of keys first
//
// Tile registers take the shape of the task: as many lanes, as many rows as it has.
#pragma once

#include <type_traits>

#include "core/problem.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

class AmxDecode {
 public:
  // Of fewer rows, products one by one are as fast from the caches and faster from memory. An int8 cache has to be widened first.
  template <class K>
  static constexpr int kLeastRows = sizeof(K) == 1 ? 8 : 5;
  static constexpr int kMostRows = 16;

  AmxDecode(Scratch &scratch, const Problem &p, const Part &part)
      : heads_(part.head_block),
        lanes_(part.head_lanes),
        row_lanes_(part.lanes),
        rows_(part.rows),
        dims_(p.head_dim),
        columns_(p.head_dim_v),
        units_(round_up(p.head_dim / 2, 16)),
        pairs_stride_(round_up(p.head_dim_v, 2 * kWidth)),
        key_stride_(p.k.sequence * p.k.element_bytes) {
    queries_ = scratch.take<int32_t>(heads_ * units_ * lanes_);
    copies_ = scratch.take<int32_t>(kDecodeTile * units_);
    pairs_ = scratch.take<int32_t>(kDecodeTile / 2 * pairs_stride_);
    weights_ = scratch.take<int32_t>(rows_ * kDecodeTile / 2);
    struct alignas(64) {
      uint8_t palette = 1, start = 0, unused[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } shape;
    const auto lanes = static_cast<uint16_t>(lanes_ * 4);
    const auto rows = static_cast<uint8_t>(rows_);
    const uint16_t row_bytes[] = {lanes, lanes, 64, lanes, 64, 64, 64, 64};
    const uint8_t tile_rows[] = {16, 16, 16, 16, rows, rows, 16, rows};
    for (int i = 0; i < 8; i++) {
      shape.row_bytes[i] = row_bytes[i];
      shape.rows[i] = tile_rows[i];
    }
    __asm__ volatile("" : : "r"(&shape) : "memory");  // the intrinsic says that it reads the first bytes alone
    _tile_loadconfig(&shape);
  }
  ~AmxDecode() { _tile_release(); }
  AmxDecode(const AmxDecode &) = delete;
  AmxDecode &operator=(const AmxDecode &) = delete;

  // From [lane][ldq], zeros behind the last unit.
  void load_queries(const int32_t *q, int64_t ldq) {
    for (int64_t h = 0; h < heads_; h++)
      for (int64_t u = 0; u < units_; u += kWidth) {
        U r[kWidth];
        for (int i = 0; i < kWidth; i++) r[i] = i < lanes_ ? load_units(q + (h * lanes_ + i) * ldq + u) : zero_units();
        transpose(r);
        for (int i = 0; i < kWidth; i++)
          store_units(queries_ + (h * units_ + u + i) * lanes_, r[i], static_cast<int>(lanes_));
      }
  }

  // Keys of type K; to [keys][lanes of all heads]. `fetch` is called once per step, units() / 16 times.
  template <class K, class Fetch>
  void score(const char *const *keys, int count, int64_t h, int64_t head_bytes, float *to, const Fetch &fetch) {
    int64_t low_stride = 0, high_stride = 0;
    const char *low = rows_at<K>(keys, head_bytes, copies_, low_stride);
    const bool both = count > 16;
    const char *high = both ? rows_at<K>(keys + 16, head_bytes, copies_ + 16 * units_, high_stride) : nullptr;
    const int32_t *q = queries_ + h * units_ * lanes_;
    __asm__ volatile("" ::: "memory");  // the intrinsics do not say what they read
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t u = 0; u < units_; u += 16) {
      _tile_loadd(3, q + u * lanes_, lanes_ * 4);
      _tile_loadd(2, low + u * 4, low_stride);
      _tile_dpbf16ps(0, 2, 3);
      if (both) {
        _tile_loadd(2, high + u * 4, high_stride);
        _tile_dpbf16ps(1, 2, 3);
      }
      fetch();
    }
    to += h * lanes_;
    _tile_stored(0, to, row_lanes_ * 4);
    if (both) _tile_stored(1, to + 16 * row_lanes_, row_lanes_ * 4);
  }
  int64_t steps() const { return units_ / 16; }

  // The values of one head, in Rows of type K; what is missing of 32 counts as 0.
  template <class K, class Rows>
  void load_values(const Rows &values) {
    for (int j = 0; j < kDecodeTile; j += 2) {
      int32_t *to = pairs_ + j / 2 * pairs_stride_;
      const K *even = j < values.count ? reinterpret_cast<const K *>(values.at(j)) : nullptr;
      const K *odd = j + 1 < values.count ? reinterpret_cast<const K *>(values.at(j + 1)) : nullptr;
      for (int64_t d = 0; d < columns_; d += 2 * kWidth) {
        U low, high;
        load_pairs(even, odd, d, columns_, low, high);
        store_units(to + d, low);
        store_units(to + d + kWidth, high);
      }
    }
  }

  // y, rows that lie stride floats apart, += weights [rows][32] * values.
  void accumulate(const float (*weights)[kDecodeTile], float *y, int64_t stride) {
    for (int64_t r = 0; r < rows_; r++)
      store_units(weights_ + r * kWidth, pack_pairs(load(weights[r]), load(weights[r] + kWidth)));
    __asm__ volatile("" ::: "memory");
    _tile_loadd(5, weights_, 64);
    for (int64_t d = 0; d < columns_; d += 2 * kWidth) {
      _tile_loadd(4, y + d, stride * 4);
      _tile_loadd(6, pairs_ + d, pairs_stride_ * 4);
      _tile_dpbf16ps(4, 5, 6);
      _tile_loadd(7, y + d + kWidth, stride * 4);
      _tile_loadd(6, pairs_ + d + kWidth, pairs_stride_ * 4);
      _tile_dpbf16ps(7, 5, 6);
      _tile_stored(4, y + d, stride * 4);
      _tile_stored(7, y + d + kWidth, stride * 4);
    }
  }

 private:
  // Sixteen keys of a head: where they lie if they are pairs that lie evenly and in whole steps, else a copy.
  template <class K>
  const char *rows_at(const char *const *keys, int64_t head_bytes, int32_t *copy, int64_t &stride) const {
    bool evenly = std::is_same_v<K, bf16> && dims_ % 32 == 0;
    for (int i = 1; i < 16; i++) evenly &= keys[i] == keys[0] + i * key_stride_;
    if (evenly) {
      stride = key_stride_;
      return keys[0] + head_bytes;
    }
    for (int i = 0; i < 16; i++) {
      pack_row<Bf16Product>(reinterpret_cast<const K *>(keys[i] + head_bytes), dims_ / 2, copy + i * units_, false);
      zero_from(copy + i * units_, dims_ / 2, units_);
    }
    stride = units_ * 4;
    return reinterpret_cast<const char *>(copy);
  }

  const int64_t heads_, lanes_, row_lanes_, rows_, dims_, columns_, units_, pairs_stride_, key_stride_;
  int32_t *queries_;  // [head][unit][lane]
  int32_t *copies_;   // [key of the tile][unit]
  int32_t *pairs_;    // [pair of keys][column]
  int32_t *weights_;  // [row][pair of keys]
};

}  // namespace
}  // namespace ga::GA_ISA
