// Rows whose products met a NaN or an infinity, once more and by themselves: a product of matrices takes the values of all keys of
// a block, and those that a row does not see enter it as 0 times the value, which is NaN for these two. What a row does not see
// must not touch it. A warp does one row at a time, key by key; it is slow, and nothing calls it while all values are finite.
#pragma once

#include "cuda/forward_sm90/arguments.h"
#include "cuda/gate.cuh"
#include "cuda/ptx/math.cuh"

namespace ga::cuda::sm90 {

// Row r of the tile: its elements lane, lane + 32, ... before normalization.
template <typename T, int D>
GA_DEVICE void attend_row(const Arguments &a, const Tile &t, int r, float maximum, float (&y)[D / 32]) {
  const Problem &p = a.p;
  const Window window = window_of(p);
  const int lane = lane_index(), kv_head = t.head / p.group, hi = window.hi(t.first + r, t);
  const T *query = reinterpret_cast<const T *>(p.q.at(t.query_entry, t.query_row + r, t.head));
  const float base = maximum == -INFINITY ? 0 : maximum * a.scale_log2;
  GA_UNROLL for (int c = 0; c < D / 32; ++c) y[c] = 0;
  GA_NO_UNROLL for (int j = window.lo(t.first + r, t); j < hi; ++j) {
    const T *key = reinterpret_cast<const T *>(p.k.at(t.key_entry, t.key_row + j, kv_head));
    const T *value = reinterpret_cast<const T *>(p.v.at(t.key_entry, t.key_row + j, kv_head));
    float score = 0;
    GA_UNROLL for (int c = 0; c < D / 32; ++c) score =
        fmaf(to_float(query[lane + 32 * c]), to_float(key[lane + 32 * c]), score);
    GA_UNROLL for (int half = 16; half > 0; half /= 2) score += shuffle_xor(score, half);
    const float weight = ex2(fmaf(score, a.scale_log2, -base));
    GA_UNROLL for (int c = 0; c < D / 32; ++c) y[c] = fmaf(weight, to_float(value[lane + 32 * c]), y[c]);
  }
}

// Of the 16 rows of a warp from first on: those that any lane of four marks, row lane / 4 + 8 h in mark[h]. sum and maximum are
// the row's, in each of its lanes. to(row, column): where an element of the tile's output lies.
template <typename T, int D, typename To>
GA_DEVICE void repair_rows(const Arguments &a, const Tile &t, int first, const bool (&mark)[2], const float (&sum)[2],
                           const float (&maximum)[2], To to) {
  const Problem &p = a.p;
  if (!any(mark[0] || mark[1])) return;
  GA_NO_UNROLL for (int n = 0; n < 16; ++n) {
    const uint32_t marks = ballot(n < 8 ? mark[0] : mark[1]);
    const int lane = n % 8 * 4, r = first + n;
    const float row_maximum = shuffle(n < 8 ? maximum[0] : maximum[1], lane);
    const float row_sum = shuffle(n < 8 ? sum[0] : sum[1], lane);
    if ((marks >> lane & 15U) == 0 || r >= t.rows) continue;
    float y[D / 32];
    attend_row<T, D>(a, t, r, row_maximum, y);
    const float factor = row_factor(denominator(p, t.head, row_sum, row_maximum * a.scale_log2));
    const char *scores = p.gate.data ? p.gate.at(t.query_entry, t.query_row + r, t.head) : nullptr;
    GA_UNROLL for (int c = 0; c < D / 32; ++c) {
      const int d = lane_index() + 32 * c;
      const float score = scores ? activate<precision<T>()>(p.activation, load_element(p.gate, scores, d)) : 0;
      *to(r, d) = from_float<T>(finish_element<T>(p, y[c] * factor, 1, score));
    }
  }
}

}  // namespace ga::cuda::sm90
