// The end of a row: normalize, prepare, gate, round once, store. Also the row's log-sum-exp.
//
// The gate costs one read of G and a few instructions per vector here, where Y is still in f32 in the nearest cache;
// as a pass of its own it would read and write O once more.
#pragma once

#include "cpu/math.h"

namespace ga::GA_ISA {

// A vector (n lanes) of a row whose elements are stride (0 or 1) apart, of any of the three types.
template <class T>
GA_INLINE F load_row(const char *row, int64_t stride, int64_t d, int n) {
  const T *at = reinterpret_cast<const T *>(row) + d * stride;
  if (stride == 0) {
    T copies[kWidth];
    for (int i = 0; i < kWidth; i++) copies[i] = *at;
    return load(copies);
  }
  return n < kWidth ? load(at, n) : load(at);
}

GA_INLINE F load_row(const View &view, const char *row, int64_t d, int n) {
  switch (view.dtype) {
    case GA_BF16: return load_row<bf16>(row, view.dim, d, n);
    case GA_F16: return load_row<f16>(row, view.dim, d, n);
    default: return load_row<float>(row, view.dim, d, n);
  }
}

// x as it would be after a round trip through memory in type T.
template <class T>
GA_INLINE F rounded(F x) {
  if constexpr (sizeof(T) == 4) return x;
  T memory[kWidth];
  store(memory, x);
  return load(memory);
}

// Row (b, i, h) of the output from y [head_dim_v], the sum over keys of exp2(s - maximum) * v, and the sum of those weights.
template <class T>
static void finish_row(const Problem &p, int64_t b, int64_t i, int64_t h, float *y, float sum, float maximum) {
  constexpr Precision precision = sizeof(T) == 4 ? kFine : kCoarse;
  const int64_t columns = p.head_dim_v;
  const bool empty = sum == 0;  // the row sees no key; a NaN is not 0 and goes on
  if (p.lse.data)
    *reinterpret_cast<float *>(p.lse.at(b, i, h)) = empty        ? -__builtin_inff()
                                                    : sum != sum ? sum
                                                                 : kLn2 * (maximum + log2_scalar(sum));

  F factor = set(empty ? 0.0f : 1.0f / sum);
  const char *weight = nullptr;
  if (p.pre_gate == GA_PRE_RMS_NORM) {
    F squares = zero();
    for (int64_t d = 0; d < columns; d += kWidth) {
      const int n = columns - d < kWidth ? static_cast<int>(columns - d) : kWidth;
      const F x = mul(load(y + d), factor);
      squares = fma(keep_range(x, 0, n, zero()), x, squares);
    }
    const float mean = reduce_add(squares) / static_cast<float>(columns) + p.norm_eps;
    factor = mean == 0 ? zero() : mul(factor, reciprocal_sqrt(set(mean)));  // a row of zeros stays one, whatever norm_eps
    if (p.norm_weight.data) weight = p.norm_weight.at(0, 0, h);
  }

  const char *gate = p.gate.data ? p.gate.at(b, i, h) : nullptr;
  const bool one_score = gate && p.gate.dim == 0;  // head-wise
  F a = one_score ? activate<precision>(p.activation, load_row(p.gate, gate, 0, kWidth)) : zero();
  T *out = reinterpret_cast<T *>(p.out.at(b, i, h));
  const bool plain = p.pre_gate != GA_PRE_SILU && !weight && !p.round_before_gate;

  for (int64_t d = 0; d < columns; d += kWidth) {
    const int n = columns - d < kWidth ? static_cast<int>(columns - d) : kWidth;
    F x = mul(load(y + d), factor);
    if (!plain) {
      if (weight) x = mul(x, load_row(p.norm_weight, weight, d, n));
      if (p.pre_gate == GA_PRE_SILU) x = mul(x, sigmoid<precision>(x));
      if (p.round_before_gate) x = rounded<T>(x);
    }
    if (gate) {
      if (!one_score) a = activate<precision>(p.activation, load_row(p.gate, gate, d, n));
      x = p.combination == GA_ADD ? add(x, a) : mul(x, a);
    }
    if (n < kWidth)
      store(out + d, x, n);
    else
      store(out + d, x);
  }
}

}  // namespace ga::GA_ISA
