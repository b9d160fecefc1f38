// From products q . k to scores in powers of two, softcapped where asked for: c * tanh(scale * q . k / c).
//
// Without a cap a score is one factor away, which the exponential takes in. With one the products of a block become tanh of
// them first, in place, and the factor is c instead: the rest of the softmax is the same.
#pragma once

#include "core/problem.h"
#include "cpu/math.h"

namespace ga::GA_ISA {

class Softcap {
 public:
  explicit Softcap(const Problem &p) : capped_(p.softcap > 0), before_(1), natural_(__builtin_fabsf(p.scale)) {
    if (capped_) cap(p);
    const double factor = natural_ * kLog2EDouble;
    factor_ = static_cast<float>(factor);
    factor_low_ = static_cast<float>(factor - factor_);
    inverse_ = 1 / factor_;
  }

  bool capped() const { return capped_; }
  float factor() const { return factor_; }           // of what scores hold, into powers of two
  float factor_low() const { return factor_low_; }   // what it was rounded by
  float inverse() const { return inverse_; }         // of factor: infinite where that is 0
  float natural_factor() const { return natural_; }  // and into powers of e

  GA_ALWAYS_INLINE F apply(F product) const { return tanh(mul(product, set(before_))); }

  // Scores [from, to) and what else is in their vectors.
  GA_ALWAYS_INLINE void apply(float *scores, int64_t from, int64_t to) const {
    for (int64_t j = from / kWidth * kWidth; j < to; j += kWidth) store(scores + j, apply(load(scores + j)));
  }

 private:
  void cap(const Problem &p) {
    // A higher cap changes no score that f32 tells from its neighbors, and c * log2(e) must not overflow.
    const float c = p.softcap < 0x1p64f ? p.softcap : 0x1p64f;
    const float before = __builtin_fabsf(p.scale) / c;
    before_ = before < 0x1p127f ? before : 0x1p127f;  // not infinite: times a product of 0 it would be NaN
    natural_ = c;
  }

  bool capped_;
  float before_, natural_, factor_, factor_low_, inverse_;
};

}  // namespace ga::GA_ISA
