// From products q . k to scores in powers of two, softcapped where asked for: c * tanh(scale * q . k / c).
#pragma once

#include "core/problem.h"
#include "cuda/gate.cuh"
#include "cuda/ptx/math.cuh"

namespace ga::cuda::decode {

class Scores {
 public:
  GA_DEVICE explicit Scores(const Problem &p) : capped_(p.softcap > 0), before_(1), factor_(p.scale * kLog2E) {
    if (!capped_) return;
    // A higher cap changes no score that f32 tells from its neighbors, and c * log2(e) must not overflow.
    const float c = fminf(p.softcap, 0x1p64f);
    before_ = fmaxf(-0x1p127f, fminf(p.scale / c, 0x1p127f));  // not infinite: times a product of 0 it would be NaN
    factor_ = c * kLog2E;
  }
  GA_DEVICE float operator()(float product) const { return (capped_ ? tanhf(product * before_) : product) * factor_; }

 private:
  bool capped_;
  float before_, factor_;
};

// A row's maximum so far and the sum of its weights, exp2(score - maximum). Weights that become f16 are relative to a number 2^12
// times smaller, so that those of far smaller scores do not round to 0: then maximum is 12 less.
struct Sums {
  float maximum, sum;
};
GA_DEVICE float finite(float maximum) { return maximum == -INFINITY ? 0.0f : maximum; }

}  // namespace ga::cuda::decode
