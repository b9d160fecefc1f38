// Partial results of a unit's splits: written by each block, merged by the last one to arrive.
#pragma once

#include "cuda/decode/place.cuh"
#include "cuda/decode/scores.cuh"
#include "cuda/finish_warp.cuh"

namespace ga::cuda::decode {

template <int D>
using RowOf = WarpRow<D <= 128 ? 1 : 2>;

GA_DEVICE int64_t partial_row(const Arguments &a, const Place &at, int split, int row) {
  return (at.unit * a.splits + split) * a.unit_rows + row;
}

// Of one row, by one warp.
template <class Row>
GA_DEVICE void write_partial(const Arguments &a, const Place &at, int row, const Row &total, Sums sum) {
  const int64_t r = partial_row(a, at, at.split, row);
  if (lane_index() == 0) {
    a.sums[2 * r] = sum.maximum;
    a.sums[2 * r + 1] = sum.sum;
  }
  GA_UNROLL for (int c = 0; c < Row::kColumns; c += 4) {
    const int d = Row::column_of(c);
    if (d >= a.p.head_dim_v) continue;
    Words4 w;
    GA_UNROLL for (int e = 0; e < 4; e++) w.x[e] = bits_of_float(total.y[c + e]);
    store_global(reinterpret_cast<Words4 *>(a.values + r * a.p.head_dim_v + d), w);
  }
}

// The block's partial result is complete. True in the last block of the unit: it sees what all have written. The counter is 0
// again then, for the next launch.
GA_DEVICE bool arrives_last(const Arguments &a, const Place &at, int *shared) {
  fence_device();
  sync_threads();
  if (thread_index() == 0) {
    const uint32_t before = atomic_add(a.arrived + at.unit, 1u);
    const bool last = before + 1 == static_cast<uint32_t>(at.used);
    if (last) atomic_exchange(a.arrived + at.unit, 0u);
    *shared = last;
  }
  sync_threads();
  if (!*shared) return false;
  fence_device();
  return true;
}

// One row, by one warp: its maximum, then weights and values in the order of the splits.
template <class Row>
GA_DEVICE Sums merge_splits(const Arguments &a, const Place &at, int row, Row &total) {
  float maximum = -INFINITY;
  for (int split = lane_index(); split < at.used; split += 32)
    maximum = fmaxf(maximum, load_volatile(a.sums + 2 * partial_row(a, at, split, row)));
  for (int other = 16; other > 0; other /= 2) maximum = fmaxf(maximum, shuffle_xor(maximum, other));
  const float base = finite(maximum);
  float sum = 0.0f;
  GA_UNROLL for (float &y : total.y) y = 0.0f;
#ifdef __CUDACC__
#pragma unroll 4  // reads of several splits at once
#endif
  for (int split = 0; split < at.used; split++) {
    const int64_t r = partial_row(a, at, split, row);
    const float weight = ex2(load_volatile(a.sums + 2 * r) - base);
    sum = fmaf(load_volatile(a.sums + 2 * r + 1), weight, sum);
    GA_UNROLL for (int c = 0; c < Row::kColumns; c += 4) {
      const int d = Row::column_of(c);
      if (d >= a.p.head_dim_v) continue;
      const Words4 w = load_volatile(reinterpret_cast<const Words4 *>(a.values + r * a.p.head_dim_v + d));
      GA_UNROLL for (int e = 0; e < 4; e++) total.y[c + e] = fmaf(float_of_bits(w.x[e]), weight, total.y[c + e]);
    }
  }
  return {maximum, sum};
}

template <class Rows>
GA_DEVICE void finish(const Arguments &a, const Place &at, int row, const RowOf<Rows::kGeometry.dim> &y, Sums sum) {
  const int64_t query = at.query(a.p, row);
  const int64_t b = at.of.query_entry, i = at.of.query_row + query, h = at.head(a.p, row);
  if constexpr (Rows::kTensorCores)
    finish_warp<typename Rows::Key>(a.p, b, i, h, y, sum.sum, sum.maximum);
  else
    finish_warp_of_any_type(a.p, b, i, h, y, sum.sum, sum.maximum);
}

}  // namespace ga::cuda::decode
