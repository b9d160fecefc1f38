// Partial results over disjoint sets of keys become the result over all of them: a warp per row.
//
// Each partial is normalized, so its weight is its softmax denominator, exp(lse). They are added in the order in which they are
// given; the end of the row is that of the forward pass. Memory decides: every partial is read once.
#pragma once

#include "cuda/finish_warp.cuh"
#include "cuda/ptx/math.cuh"

namespace ga::cuda::decode {

constexpr int kMergeWarps = 4;
constexpr int kMergeTurns = 4;  // 512 columns

GA_DEVICE void merge_row(const Merge &m, int64_t b, int64_t i, int64_t h) {
  using Row = WarpRow<kMergeTurns>;
  const auto *lse = reinterpret_cast<const float *>(m.partial_lse.at(b, i, h));
  float highest = -INFINITY;
  for (int64_t n = lane_index(); n < m.count; n += 32) highest = fmaxf(highest, lse[n * m.lse_stride]);
  for (int other = 16; other > 0; other /= 2) highest = fmaxf(highest, shuffle_xor(highest, other));
  // Rounded once: all weights are relative to this very number, and so is the sum that the end of the row is given.
  const float reference = highest * kLog2E;

  Row total{};
  float sum = 0.0f;
  for (int64_t n = 0; n < m.count; n++) {
    const float own = lse[n * m.lse_stride];
    if (own == -INFINITY) continue;  // it saw no key: its values do not count, not even a NaN
    const float weight = exp2f(fmaf(own, kLog2ELow, fmaf(own, kLog2E, -reference)));
    const char *values = m.partial_out.at(b, i, h) + n * m.out_stride * m.partial_out.element_bytes;
    sum += weight;
    GA_UNROLL for (int c = 0; c < Row::kColumns; c++) {
      const int d = Row::column_of(c);
      if (d < m.head_dim_v) total.y[c] = fmaf(load_element(m.partial_out, values, d), weight, total.y[c]);
    }
  }
  finish_warp_of_any_type(m, b, i, h, total, sum, reference);
}

GA_KERNEL(32 * kMergeWarps, 3) merge_kernel(GA_PARAMETER Merge m) {
  const int64_t row = static_cast<int64_t>(block_index()) * kMergeWarps + warp_index();  // of [B, Sq, Hq]
  const int64_t h = row % m.heads_q, i = row / m.heads_q % m.seq_q, b = row / m.heads_q / m.seq_q;
  if (b < m.batch) merge_row(m, b, i, h);
}

inline int64_t merge_blocks(const Merge &m) { return ceil_div(m.batch * m.seq_q * m.heads_q, kMergeWarps); }

}  // namespace ga::cuda::decode
