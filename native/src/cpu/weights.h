// Weights of a row of scores: 2^(factor * score - reference), the reference being about the largest factor * score.
#pragma once

#include "cpu/softcap.h"

namespace ga::GA_ISA {

// Those of an int8 cache are 2^24 times as large: its scales multiply them, and what bf16 rounds to 0, below 2^-126, is then as far
// below the largest value as with other caches.
constexpr float headroom(bool int8) { return int8 ? 24 : 0; }

// Fine ones take the fraction of an exponent from the exact product of factor and score: rounded first, the exponent would err by
// more the farther it is from 0. For that their reference lies halfway between two whole numbers.
template <Precision P>
class Weights {
 public:
  Weights(const Softcap &softcap, float reference)
      : factor_(softcap.factor()),
        low_(softcap.factor_low()),
        minus_(reference == -__builtin_inff() ? -0.5f : -reference),
        lowest_((kLeastExponent - minus_) / factor_) {
    if (!(lowest_ > -3.40282347e38f)) lowest_ = -3.40282347e38f;  // a factor of 0
  }

  // The reference for scores of up to `highest`.
  static float reference(float highest, const Softcap &softcap) {
    const float x = highest * softcap.factor();
    return P == kFine ? (x + kWhole) - kWhole + 0.5f : x;
  }

  // To be called once for scores [from, to) and what else is in their vectors.
  GA_ALWAYS_INLINE void prepare(float *scores, int64_t from, int64_t to) {
    // Farther from 0, halves and their sums would not be exact. Nor are the scores.
    if (P == kCoarse || __builtin_fabsf(minus_) < 0x1p20f) return;
    for (int64_t j = from / kWidth * kWidth; j < to; j += kWidth)
      store(scores + j, add(fma(load(scores + j), set(factor_), set(minus_)), set(0.5f)));
    factor_ = 1;
    low_ = 0;
    minus_ = -0.5f;
    lowest_ = kLeastExponent;
  }

  GA_ALWAYS_INLINE F operator()(F score) const {
    if constexpr (P == kCoarse) return exp2<kCoarse>(fma(score, set(factor_), set(minus_)));
    const F s = max(set(lowest_), score);  // this order keeps a NaN
    const F whole = sub(fma(s, set(factor_), set(minus_ - 0.5f + kWhole)), set(kWhole));
    return power_of_two<P>(whole, fma(s, set(low_), fnma(s, set(-factor_), sub(set(minus_), whole))));
  }

 private:
  static constexpr float kWhole = 0x1.8p23f;  // added and taken away again, leaves the nearest whole number

  float factor_, low_, minus_, lowest_;
};

}  // namespace ga::GA_ISA
