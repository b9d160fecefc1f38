// The end of a row that one warp holds: gate.cuh's steps, four columns of the row per lane and turn.
#pragma once

#include "cuda/gate.cuh"
#include "cuda/ptx/thread.cuh"

namespace ga::cuda {

// Of a row of at most 128 * Turns columns, column c of a lane is the row's column_of(c).
template <int Turns>
struct WarpRow {
  static constexpr int kColumns = 4 * Turns;
  static GA_DEVICE int column_of(int c) { return c / 4 * 128 + 4 * lane_index() + c % 4; }
  float y[kColumns];
};

// Row (b, i, h) of the output. y: the sum over keys of exp2(score - maximum) * value; sum: of the weights alone. What is read
// from memory is asked for before any of it is used: few rows are finished at a time, and each read is on its own way.
template <class T, int Turns>
GA_DEVICE void finish_warp(const Output &p, int64_t b, int64_t i, int64_t h, const WarpRow<Turns> &row, float sum,
                           float maximum) {
  using Row = WarpRow<Turns>;
  const char *gate = p.gate.data ? p.gate.at(b, i, h) : nullptr;
  const char *weights = p.norm_weight.data ? p.norm_weight.at(0, 0, h) : nullptr;
  float score[Row::kColumns], weight[Row::kColumns];
  GA_UNROLL for (int c = 0; c < Row::kColumns; c++) {
    const int d = Row::column_of(c);
    score[c] = gate && d < p.head_dim_v ? load_element(p.gate, gate, d) : 0.0f;
    weight[c] = weights && d < p.head_dim_v ? load_element(p.norm_weight, weights, d) : 1.0f;
  }
  const Denominator of = denominator(p, h, sum, maximum);
  if (p.lse.data && lane_index() == 0) *reinterpret_cast<float *>(p.lse.at(b, i, h)) = of.lse;
  float factor = row_factor(of);
  if (p.pre_gate == GA_PRE_RMS_NORM) {
    float squares = 0.0f;
    GA_UNROLL for (int c = 0; c < Row::kColumns; c++) {
      const float x = Row::column_of(c) < p.head_dim_v ? row.y[c] * of.keys : 0.0f;
      squares = fmaf(x, x, squares);
    }
    for (int other = 16; other > 0; other /= 2) squares += shuffle_xor(squares, other);
    factor = norm_factor(p, of, squares);
  }
  T *out = reinterpret_cast<T *>(p.out.at(b, i, h));
  GA_UNROLL for (int c = 0; c < Row::kColumns; c++) {
    const int d = Row::column_of(c);
    if (d >= p.head_dim_v) continue;
    const float a = gate ? activate<precision<T>()>(p.activation, score[c]) : 1.0f;
    out[d] = narrow<T>(finish_element<T>(p, row.y[c] * factor, weight[c], a));
  }
}

template <int Turns>
GA_DEVICE void finish_warp_of_any_type(const Output &p, int64_t b, int64_t i, int64_t h, const WarpRow<Turns> &row,
                                       float sum, float maximum) {
  switch (p.out.dtype) {
    case GA_BF16: return finish_warp<bf16>(p, b, i, h, row, sum, maximum);
    case GA_F16: return finish_warp<f16>(p, b, i, h, row, sum, maximum);
    default: return finish_warp<float>(p, b, i, h, row, sum, maximum);
  }
}

}  // namespace ga::cuda
