#include "backward_reference.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <utility>

#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

enum class Mode { kValue, kMagnitude };

template <typename Real>
Real sigmoid(Real x) {
  return 1 / (1 + std::exp(-x));
}

template <typename Real>
struct Activation {
  Real value, slope, ratio;  // ratio: slope / value where value is above 0 everywhere
};

template <typename Real>
Activation<Real> activation_of(ga_activation activation, Real g) {
  const Real s = sigmoid(g), rest = sigmoid(-g);
  switch (activation) {
    case GA_SIGMOID: return {s, s * rest, rest};
    case GA_SILU: return {g * s, s + g * s * rest, 0};
    case GA_IDENTITY: return {g, 1, 0};
    case GA_NS_SIGMOID: return {Real(0.5) + Real(0.5) * s, Real(0.5) * s * rest, s * rest / (1 + s)};
    case GA_TWO_SIGMOID: return {2 * s, 2 * s * rest, rest};
    case GA_SOFTPLUS: {
      const Real value = std::max(g, Real(0)) + std::log1p(std::exp(-std::fabs(g)));
      return {value, s, s / value};
    }
    default: return {std::tanh(g), 4 * sigmoid(2 * g) * sigmoid(-2 * g), 0};
  }
}

bool positive(ga_activation a) {
  return a == GA_SIGMOID || a == GA_NS_SIGMOID || a == GA_TWO_SIGMOID || a == GA_SOFTPLUS;
}

// One pass over a call; Real and mode say what is computed, type how much is lost on the way (GA_F32 in double: nothing).
template <typename Real>
class Pass {
 public:
  Pass(const ga_attention_params &params, const Operands<Real> &o, ga_dtype type, Mode mode, uint64_t seed = 0)
      : p_(params), o_(o), type_(type), mode_(mode), random_(seed), dithers_(seed != 0) {}

  Gradients<Real> run() {
    const std::array<int64_t, 4> rows = {p_.batch, p_.seq_q, p_.heads_q, p_.head_dim_v};
    g_.out = Dense<Real>(rows);
    g_.ungated = Dense<Real>(rows);
    g_.dq = Dense<Real>(o_.q.extent);
    g_.dk = Dense<Real>(o_.k.extent);
    g_.dv = Dense<Real>(o_.v.extent);
    g_.dgate = Dense<Real>(o_.gate.extent);
    g_.dnorm_weight = Dense<Real>(o_.norm_weight.extent);
    g_.dsink = Dense<Real>(o_.sink.extent);
    for (int64_t b = 0; b < p_.batch; ++b)
      for (int64_t h = 0; h < p_.heads_q; ++h)
        for (int64_t i = 0; i < p_.seq_q; ++i) row(b, i, h);
    return std::move(g_);
  }

 private:
  static constexpr bool kExact = std::is_same_v<Real, double>;

  // What is kept in f32, a sum, and what is stored in the type of the call. Each rounding errs as chance has it: others are as good,
  // and several passes tell more of the error than one. A step of f32 up or down at times, else up to half a step of the type.
  Real kept(Real x) { return dithers_ ? dithered(x, 22, -148) : x; }
  Real summed(Real x, Real sizes) {
    return dithers_ ? x + sizes * static_cast<Real>(0x1p-24 * (2 * random_.unit() - 1)) : x;
  }
  Real stored(Real x) {
    if (kExact) return x;
    if (!dithers_) return static_cast<Real>(rounded(type_, static_cast<double>(x)));
    return type_ == GA_F32 ? kept(x) : type_ == GA_BF16 ? dithered(x, 7, -133) : dithered(x, 10, -24);
  }
  Real dithered(Real x, int bits, int least) {
    if (x == 0 || !std::isfinite(x)) return x;
    const double step = std::ldexp(1.0, std::max(std::ilogb(x) - bits, least));
    return x + static_cast<Real>(step * (random_.unit() - 0.5));
  }
  Real size(Real x) const { return mode_ == Mode::kMagnitude ? std::fabs(x) : x; }

  void row(int64_t b, int64_t i, int64_t h) {
    const int64_t length = key_length(p_, b), group = p_.heads_q / p_.heads_kv, kv = h / group;
    const KeyRange range = visible_keys(p_, length, i);
    const auto dim = static_cast<size_t>(p_.head_dim), dim_v = static_cast<size_t>(p_.head_dim_v);
    const Real scale = p_.scale, cap = p_.softcap, infinity = std::numeric_limits<Real>::infinity();
    const Real sink = o_.sink.present() ? o_.sink.at(0, 0, h, 0) : -infinity;
    const Real *q = o_.q.row(b, i, h);

    // Forward
    scores_.clear();
    scores_again_.clear();
    tanhs_.clear();
    Real highest = sink;
    for (int64_t j = range.first; j < range.end; ++j) {
      const Real *k = o_.k.row(b, j, kv);
      Real dot = 0, sizes = 0;
      for (size_t d = 0; d < dim; ++d) {
        dot += q[d] * k[d];
        if (dithers_) sizes += std::fabs(q[d] * k[d]);
      }
      // L and the backward pass have the scores from sums in orders of their own.
      const Real first = summed(scale * dot, scale * sizes), again = summed(scale * dot, scale * sizes);
      if (cap > 0) tanhs_.push_back(std::tanh(again / cap));
      scores_.push_back(cap > 0 ? cap * std::tanh(first / cap) : first);
      scores_again_.push_back(cap > 0 ? cap * tanhs_.back() : again);
      highest = std::max(highest, scores_.back());
    }
    Real sum = sink == -infinity ? 0 : std::exp(kept(sink - highest));
    for (Real &s : scores_) {
      s = kept(s - highest);  // beside a sink far above, that rounding is most of a score's error
      sum += std::exp(s);
    }
    const Real lse = sum == 0 ? -infinity : kept(highest + std::log(sum));
    std::vector<Real> y(dim_v), dy(dim_v);
    for (size_t n = 0; n < scores_.size(); ++n) {
      const Real weight = stored(std::exp(scores_[n]) / sum);
      const Real *v = o_.v.row(b, range.first + static_cast<int64_t>(n), kv);
      for (size_t d = 0; d < dim_v; ++d) y[d] += weight * v[d];
    }

    for (Real &x : y) x = stored(x);
    Real delta = output(b, i, h, y, dy);
    if (o_.sink.present() && sink != -infinity) g_.dsink.at(0, 0, h, 0) += size(std::exp(sink - lse) * -delta);

    // Backward of the scores; a head-wise factor above 0 goes into L and out of Delta.
    Real shifted = lse;
    if (from_out() && o_.gate.present() && o_.gate.extent[3] == 1 && p_.head_dim_v > 1) {
      const Real factor = activation_of(p_.activation, o_.gate.at(b, i, h, 0)).value;
      shifted = kept(lse - kept(std::log(factor)));
      delta = delta == 0 ? 0 : kept(delta / factor);
      for (size_t d = 0; d < dim_v; ++d) dy[d] = o_.dout.at(b, i, h, static_cast<int64_t>(d));
    }
    Real *dq = g_.dq.row(b, i, h);
    for (size_t n = 0; n < scores_.size(); ++n) {
      const int64_t j = range.first + static_cast<int64_t>(n);
      const Real *k = o_.k.row(b, j, kv), *v = o_.v.row(b, j, kv);
      const Real weight = std::exp(scores_again_[n] - shifted);
      Real dp = 0;
      for (size_t d = 0; d < dim_v; ++d) dp += size(dy[d] * v[d]);
      Real ds = weight * (mode_ == Mode::kMagnitude ? dp + std::fabs(delta) : dp - delta);
      if (cap > 0) ds *= 1 - tanhs_[n] * tanhs_[n];
      ds = stored(ds);
      const Real p = stored(weight);
      Real *dk = g_.dk.row(b, j, kv), *dv = g_.dv.row(b, j, kv);
      for (size_t d = 0; d < dim_v; ++d) dv[d] += size(p * dy[d]);
      for (size_t d = 0; d < dim; ++d) {
        dq[d] += size(scale * (ds * k[d]));
        dk[d] += size(scale * (ds * q[d]));
      }
    }
  }

  // From Y to O, and back from dO to dY; returns Delta.
  Real output(int64_t b, int64_t i, int64_t h, const std::vector<Real> &y, std::vector<Real> &dy) {
    const size_t dim = y.size();
    std::vector<Real> z(y), dz(dim), normal(dim);
    Real factor = 1;
    if (p_.pre_gate == GA_PRE_RMS_NORM) {
      double squares = 0;  // in f32 those of a Y beside a large sink would be none
      for (const Real x : y) squares += static_cast<double>(x) * static_cast<double>(x);
      const double mean = squares / static_cast<double>(dim) + static_cast<double>(p_.norm_eps);
      factor = mean == 0 ? Real(0) : kept(static_cast<Real>(1 / std::sqrt(mean)));
      for (size_t d = 0; d < dim; ++d) {
        normal[d] = y[d] * factor;
        z[d] = weight(h, d) * normal[d];
      }
    }
    if (p_.pre_gate == GA_PRE_SILU)
      for (size_t d = 0; d < dim; ++d) z[d] = y[d] * sigmoid(y[d]);

    const bool gated = o_.gate.present(), added = p_.combination == GA_ADD;
    const bool from_out = this->from_out();
    Real delta = 0;
    for (size_t d = 0; d < dim; ++d) {
      const auto n = static_cast<int64_t>(d);
      Activation<Real> a = {1, 0, 0};
      if (gated) a = activation_of(p_.activation, o_.gate.at(b, i, h, n));
      const Real dout = o_.dout.at(b, i, h, n);
      const Real o = stored(!gated ? z[d] : added ? z[d] + a.value : z[d] * a.value);
      g_.out.at(b, i, h, n) = o;
      g_.ungated.at(b, i, h, n) = y[d];
      dz[d] = gated && !added ? a.value * dout : dout;
      if (gated)
        g_.dgate.at(b, i, h, n) += size(added ? dout * a.slope : from_out ? dout * o * a.ratio : dout * z[d] * a.slope);
      if (from_out) delta += dout * o;
    }
    if (p_.pre_gate == GA_PRE_RMS_NORM) {
      Real along = 0;
      for (size_t d = 0; d < dim; ++d) {
        if (o_.norm_weight.present()) g_.dnorm_weight.at(0, 0, h, static_cast<int64_t>(d)) += size(dz[d] * normal[d]);
        along += size(weight(h, d) * dz[d] * normal[d]) / static_cast<Real>(dim);
      }
      for (size_t d = 0; d < dim; ++d) {
        const Real first = weight(h, d) * dz[d], second = normal[d] * along;
        dy[d] = factor * (mode_ == Mode::kMagnitude ? std::fabs(first) + std::fabs(second) : first - second);
      }
    } else if (p_.pre_gate == GA_PRE_SILU) {
      for (size_t d = 0; d < dim; ++d) dy[d] = dz[d] * sigmoid(y[d]) * (1 + y[d] * sigmoid(-y[d]));
    } else {
      dy = dz;
    }
    for (size_t d = 0; d < dim; ++d) {
      dy[d] = stored(dy[d]);
      if (!from_out) delta += size(dy[d] * y[d]);
    }
    return delta;
  }

  // Where O tells Y.
  bool from_out() const {
    const bool multiplied = p_.combination == GA_MULTIPLY && positive(p_.activation);
    return !kExact && p_.pre_gate == GA_PRE_NONE && (!o_.gate.present() || multiplied);
  }
  Real weight(int64_t h, size_t d) const {
    return o_.norm_weight.present() ? o_.norm_weight.at(0, 0, h, static_cast<int64_t>(d)) : Real(1);
  }

  const ga_attention_params &p_;
  const Operands<Real> &o_;
  const ga_dtype type_;
  const Mode mode_;
  Random random_;
  const bool dithers_;
  Gradients<Real> g_;
  std::vector<Real> scores_, scores_again_, tanhs_;
};

Dense<double> load_dense(const ga_tensor &tensor, std::array<int64_t, 4> extent, bool shared) {
  if (tensor.data == nullptr) return {};
  if (shared)
    for (size_t axis = 0; axis < 4; ++axis)
      if (tensor.stride[axis] == 0) extent[axis] = std::min<int64_t>(extent[axis], 1);
  Dense<double> dense(extent);
  for (int64_t b = 0; b < extent[0]; ++b)
    for (int64_t s = 0; s < extent[1]; ++s)
      for (int64_t h = 0; h < extent[2]; ++h)
        for (int64_t d = 0; d < extent[3]; ++d) {
          const int64_t offset = element_offset(tensor, b, s, h, d) * size_of(tensor.dtype);
          dense.at(b, s, h, d) = load(tensor.dtype, static_cast<const std::byte *>(tensor.data) + offset);
        }
  return dense;
}

void forget_unseen(const ga_attention_params &params, Dense<double> &keys) {
  for (int64_t b = 0; b < params.batch; ++b) {
    const int64_t length = key_length(params, b);
    const int64_t first = params.seq_q > 0 ? visible_keys(params, length, 0).first : 0;
    const int64_t end = params.seq_q > 0 ? visible_keys(params, length, params.seq_q - 1).end : 0;
    for (int64_t j = 0; j < params.seq_k; ++j) {
      if (first <= j && j < end) continue;
      for (int64_t h = 0; h < params.heads_kv; ++h) std::fill_n(keys.row(b, j, h), keys.extent[3], 0.0);
    }
  }
}

Dense<float> narrow(const Dense<double> &from) {
  Dense<float> to(from.extent);
  for (size_t n = 0; n < from.value.size(); ++n) to.value[n] = static_cast<float>(from.value[n]);
  return to;
}

}  // namespace

Operands<double> load_operands(const ga_attention_params &params, const ga_tensor &dout) {
  const int64_t b = params.batch, sq = params.seq_q, sk = params.seq_k, dv = params.head_dim_v;
  Operands<double> o;
  o.q = load_dense(params.q, {b, sq, params.heads_q, params.head_dim}, false);
  o.k = load_dense(params.k, {b, sk, params.heads_kv, params.head_dim}, false);
  o.v = load_dense(params.v, {b, sk, params.heads_kv, dv}, false);
  o.gate = load_dense(params.gate, {b, sq, params.heads_q, dv}, true);
  o.norm_weight = load_dense(params.norm_weight, {1, 1, params.heads_q, dv}, true);
  o.sink = load_dense(params.sink, {1, 1, params.heads_q, 1}, true);
  o.dout = load_dense(dout, {b, sq, params.heads_q, dv}, false);
  forget_unseen(params, o.k);
  forget_unseen(params, o.v);
  return o;
}

Gradients<double> reference_backward(const ga_attention_params &params, const Operands<double> &operands) {
  return Pass<double>(params, operands, GA_F32, Mode::kValue).run();
}

Gradients<double> gradient_magnitudes(const ga_attention_params &params, const Operands<double> &operands) {
  return Pass<double>(params, operands, GA_F32, Mode::kMagnitude).run();
}

Gradients<float> simple_backward(const ga_attention_params &params, const Operands<double> &operands, ga_dtype type,
                                 uint64_t seed) {
  const Operands<float> o = {narrow(operands.q),    narrow(operands.k),           narrow(operands.v),
                             narrow(operands.gate), narrow(operands.norm_weight), narrow(operands.sink),
                             narrow(operands.dout)};
  return Pass<float>(params, o, type, Mode::kValue, seed).run();
}

}  // namespace gatest
