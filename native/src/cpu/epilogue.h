// The end of a row: the sink, normalize, prepare, gate, round once, store. Also the row's log-sum-exp.
//
// The gate costs one read of G and a few instructions per vector here, where Y is still in f32 in the nearest cache;
// as a pass of its own it would read and write O once more.
#pragma once

#include <type_traits>

#include "cpu/sink.h"

namespace ga::GA_ISA {
namespace {

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

// Elements of type G, all of them there: the case that deserves a loop of its own, out = y * factor * sigmoid(gate).
template <class T, class G>
GA_INLINE void multiply_by_sigmoid(const float *y, F factor, const char *gate, int64_t columns, T *out) {
  constexpr Precision precision = sizeof(T) == 4 ? kFine : kCoarse;
  const G *g = reinterpret_cast<const G *>(gate);
  int64_t d = 0;
#ifdef GA_NATIVE_BF16
  if constexpr (std::is_same_v<T, bf16>)
    for (; d + 2 * kWidth <= columns; d += 2 * kWidth)
      store_units(out + d, pack_pairs(mul(mul(load(y + d), factor), sigmoid<precision>(load(g + d))),
                                      mul(mul(load(y + d + kWidth), factor), sigmoid<precision>(load(g + d + kWidth)))));
#endif
  for (; d + kWidth <= columns; d += kWidth)
    store(out + d, mul(mul(load(y + d), factor), sigmoid<precision>(load(g + d))));
  if (d < columns) {
    const int n = static_cast<int>(columns - d);
    store(out + d, mul(mul(load(y + d), factor), sigmoid<precision>(load(g + d, n))), n);
  }
}

// What the ends of all rows of a call have in common.
template <class T>
class Epilogue {
 public:
  explicit Epilogue(const Output &p)
      : p_(p),
        plain_(p.pre_gate != GA_PRE_SILU && !p.norm_weight.data && !p.round_before_gate),
        sigmoid_(p.gate.data && p.gate.dim == 1 && p.activation == GA_SIGMOID && p.combination == GA_MULTIPLY && plain_) {
  }

  // Brings the row's gate and output closer: rows are far apart in memory, and no hardware foresees the next one.
  // Inline: GCC drops calls of what only prefetches.
  GA_ALWAYS_INLINE void prefetch(int64_t b, int64_t i, int64_t h) const {
    const char *out = p_.out.at(b, i, h);
    for (int64_t byte = 0; byte < p_.head_dim_v * p_.out.element_bytes; byte += 64) __builtin_prefetch(out + byte, 1);
    if (!p_.gate.data) return;
    const char *gate = p_.gate.at(b, i, h);
    for (int64_t byte = 0; byte <= (p_.head_dim_v - 1) * p_.gate.dim * p_.gate.element_bytes; byte += 64)
      __builtin_prefetch(gate + byte, 0);
  }

  // Row (b, i, h) of the output from y [head_dim_v], the sum over keys of exp2(s - maximum) * v, and the sum of those weights.
  void finish(int64_t b, int64_t i, int64_t h, const float *y, float sum, float maximum) const;

 private:
  static constexpr Precision kPrecision = sizeof(T) == 4 ? kFine : kCoarse;

  GA_ALWAYS_INLINE float sink(int64_t h) const {
    alignas(64) float copies[kWidth];
    store(copies, load_row(p_.sink, p_.sink.at(0, 0, h), 0, kWidth));
    return copies[0];
  }
  F norm_factor(const float *y, const Denominator &row) const;
  template <class Out>
  void finish_any(int64_t h, const float *y, F factor, const char *gate, Out *out) const;

  const Output &p_;
  const bool plain_;    // nothing happens between normalization and gate
  const bool sigmoid_;  // the element-wise sigmoid gate and nothing else
};

template <class T>
void Epilogue<T>::finish(int64_t b, int64_t i, int64_t h, const float *y, float sum, float maximum) const {
  const bool want_lse = p_.lse.data;
  const Denominator row =
      p_.sink.data ? with_sink(sink(h), sum, maximum, want_lse) : without_sink(sum, maximum, want_lse);
  if (want_lse) *reinterpret_cast<float *>(p_.lse.at(b, i, h)) = row.lse;
  const F factor = p_.pre_gate == GA_PRE_RMS_NORM ? norm_factor(y, row) : set(static_cast<float>(row.keys * row.share));
  const char *gate = p_.gate.data ? p_.gate.at(b, i, h) : nullptr;
  if constexpr (sizeof(T) < 4)  // Y for the backward pass
    if (p_.out.dtype == GA_F32) return finish_any(h, y, factor, gate, reinterpret_cast<float *>(p_.out.at(b, i, h)));
  T *out = reinterpret_cast<T *>(p_.out.at(b, i, h));
  if (!sigmoid_) return finish_any(h, y, factor, gate, out);
  switch (p_.gate.dtype) {
    case GA_BF16: return multiply_by_sigmoid<T, bf16>(y, factor, gate, p_.head_dim_v, out);
    case GA_F16: return multiply_by_sigmoid<T, f16>(y, factor, gate, p_.head_dim_v, out);
    default: return multiply_by_sigmoid<T, float>(y, factor, gate, p_.head_dim_v, out);
  }
}

template <class T>
F Epilogue<T>::norm_factor(const float *y, const Denominator &row) const {
  if (row.share == 0) return zero();
  const F factor = set(row.keys);
  F squares = zero();
  for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
    const F x = keep_range(mul(load(y + d), factor), 0, static_cast<int>(p_.head_dim_v - d), zero());
    squares = fma(x, x, squares);
  }
  // The norm takes a common factor away again, but for norm_eps: so the sink's acts on that, and no small Y loses its bits.
  const double mean = reduce_add(squares) / static_cast<float>(p_.head_dim_v) + p_.norm_eps / row.share / row.share;
  // A row of zeros stays one, whatever norm_eps.
  return mean == 0 ? zero() : set(static_cast<float>(row.keys / __builtin_sqrt(mean)));
}

// Every combination of options, decided per vector.
template <class T>
template <class Out>
void Epilogue<T>::finish_any(int64_t h, const float *y, F factor, const char *gate, Out *out) const {
  const char *weight = p_.norm_weight.data ? p_.norm_weight.at(0, 0, h) : nullptr;
  const bool one_score = gate && p_.gate.dim == 0;  // head-wise
  F a = one_score ? activate<kPrecision>(p_.activation, load_row(p_.gate, gate, 0, kWidth)) : zero();
  if (one_score && plain_ && p_.combination == GA_MULTIPLY) {
    factor = mul(factor, a);
    gate = nullptr;
  }
  for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
    const int n = p_.head_dim_v - d < kWidth ? static_cast<int>(p_.head_dim_v - d) : kWidth;
    F x = mul(load(y + d), factor);
    if (!plain_) {
      if (weight) x = mul(x, load_row(p_.norm_weight, weight, d, n));
      if (p_.pre_gate == GA_PRE_SILU) x = mul(x, sigmoid<kPrecision>(x));
      if (p_.round_before_gate) x = rounded<T>(x);
    }
    if (gate) {
      if (!one_score) a = activate<kPrecision>(p_.activation, load_row(p_.gate, gate, d, n));
      x = p_.combination == GA_ADD ? add(x, a) : mul(x, a);
    }
    if (n < kWidth)
      store(out + d, x, n);
    else
      store(out + d, x);
  }
}

// The rows of a padded sequence that do not attend: as rows that see no key.
template <class T>
static void blank(const Problem &p, const Sequence &of) {
  const Epilogue<T> epilogue(p);
  alignas(64) const float y[512] = {};
  for (int64_t i = of.queries; i < of.queries + of.padding; i++)
    for (int64_t h = 0; h < p.heads_q; h++) epilogue.finish(of.query_entry, of.query_row + i, h, y, 0, -__builtin_inff());
}

}  // namespace
}  // namespace ga::GA_ISA
