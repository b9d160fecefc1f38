// The gradients of gated attention by plain loops: in float64, and once more in float32 as the yardstick of their error.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "gated_attention.h"

namespace gatest {

// [batch, sequence, head, dim], dense; an extent of 1 where it is shared.
template <typename Real>
struct Dense {
  std::array<int64_t, 4> extent{0, 0, 0, 0};
  std::vector<Real> value;

  Dense() = default;
  explicit Dense(std::array<int64_t, 4> e) : extent(e), value(static_cast<size_t>(e[0] * e[1] * e[2] * e[3])) {}

  bool present() const { return extent[3] > 0; }
  size_t index(int64_t b, int64_t s, int64_t h, int64_t d) const {
    const auto along = [&](size_t axis, int64_t i) { return extent[axis] == 1 ? 0 : i; };
    return static_cast<size_t>(((along(0, b) * extent[1] + along(1, s)) * extent[2] + along(2, h)) * extent[3] +
                               along(3, d));
  }
  Real &at(int64_t b, int64_t s, int64_t h, int64_t d) { return value[index(b, s, h, d)]; }
  Real at(int64_t b, int64_t s, int64_t h, int64_t d) const { return value[index(b, s, h, d)]; }
  const Real *row(int64_t b, int64_t s, int64_t h) const { return &value[index(b, s, h, 0)]; }
  Real *row(int64_t b, int64_t s, int64_t h) { return &value[index(b, s, h, 0)]; }
};

template <typename Real>
struct Operands {
  Dense<Real> q, k, v, gate, norm_weight, sink, dout;
};

template <typename Real>
struct Gradients {
  Dense<Real> out, ungated;  // of the forward pass
  Dense<Real> dq, dk, dv, dgate, dnorm_weight, dsink;
};

// The operands of a call where params say they lie; only keys that some row sees are read, others are 0.
Operands<double> load_operands(const ga_attention_params &params, const ga_tensor &dout);

// Of params only sizes, options and key_lengths count.
Gradients<double> reference_backward(const ga_attention_params &params, const Operands<double> &operands);

// The sum of |terms| of each gradient's element.
Gradients<double> gradient_magnitudes(const ga_attention_params &params, const Operands<double> &operands);

// The formulas of docs/operator.md in float32, in the order of the loops, with what a call without fusion stores rounded to type: Y,
// out, dY, P and dS. With a seed every rounding errs otherwise, at random: one evaluation alone may be right by chance.
Gradients<float> simple_backward(const ga_attention_params &params, const Operands<double> &operands, ga_dtype type,
                                 uint64_t seed = 0);

}  // namespace gatest
