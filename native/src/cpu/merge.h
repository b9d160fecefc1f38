// Merge: partial results over disjoint sets of keys become the result over all of them.
//
// Each partial is normalized, so its weight is its softmax denominator, exp(lse). They are added in the order in which they are
// given; the end of the row is that of the forward pass.
#pragma once

#include "cpu/epilogue.h"

namespace ga::GA_ISA {
namespace {

constexpr int64_t kMaxHeadDim = 512;
static_assert(kMaxHeadDim % kWidth == 0, "whole vectors are added up");

// y += weight * the columns of a partial result.
template <class P>
static void add_partial(const char *from, float weight, int64_t columns, float *y) {
  const P *values = reinterpret_cast<const P *>(from);
  const F w = set(weight);
  int64_t d = 0;
  for (; d + kWidth <= columns; d += kWidth) store(y + d, fma(w, load(values + d), load(y + d)));
  if (d < columns) store(y + d, fma(w, load(values + d, static_cast<int>(columns - d)), load(y + d)));
}

// Rows [first, end), counted as [B, Sq, Hq].
template <class T>
static void merge_partials(const Merge &m, int64_t first, int64_t end) {
  constexpr float lowest = -__builtin_inff();
  const Epilogue<T> epilogue(m);
  for (int64_t row = first; row < end; row++) {
    const int64_t h = row % m.heads_q, i = row / m.heads_q % m.seq_q, b = row / m.heads_q / m.seq_q;
    const float *lse = reinterpret_cast<const float *>(m.partial_lse.at(b, i, h));
    float highest = lowest;
    for (int64_t n = 0; n < m.count; n++)
      if (lse[n * m.lse_stride] > highest) highest = lse[n * m.lse_stride];
    // Rounded once: all weights are relative to this very number, and so is the sum that the end of the row is given.
    const float reference = static_cast<float>(highest * kLog2EDouble);

    alignas(64) float y[kMaxHeadDim];
    for (int64_t d = 0; d < m.head_dim_v; d += kWidth) store(y + d, zero());
    float sum = 0;
    for (int64_t n = 0; n < m.count; n++) {
      const float own = lse[n * m.lse_stride];
      if (own == lowest) continue;  // it saw no key: its values do not count, not even a NaN
      const float weight = static_cast<float>(exp2_scalar(own * kLog2EDouble - reference));
      const char *values = m.partial_out.at(b, i, h) + n * m.out_stride * m.partial_out.element_bytes;
      sum += weight;
      switch (m.partial_out.dtype) {
        case GA_BF16: add_partial<bf16>(values, weight, m.head_dim_v, y); break;
        case GA_F16: add_partial<f16>(values, weight, m.head_dim_v, y); break;
        default: add_partial<float>(values, weight, m.head_dim_v, y);
      }
    }
    epilogue.finish(b, i, h, y, sum, reference);
  }
}

}  // namespace
}  // namespace ga::GA_ISA
