// Weights of a row of scores: 2^(factor * score - reference), the reference being about the largest factor * score.
#pragma once

#include "cpu/softcap.h"

namespace ga::GA_ISA {

// Those of an int8 cache are 2^24 times as large: its scales multiply them, and what bf16 rounds to 0, below 2^-126, is then as far
// below the largest value as with other caches.
constexpr float headroom(bool int8) { return int8 ? 24 : 0; }

// Added and taken away again, leaves the nearest whole number.
constexpr float kWhole = 0x1.8p23f;
GA_INLINE float nearest_whole(float x) { return (x + kWhole) - kWhole; }

// Fine ones take the fraction of an exponent from the exact product of factor and score: rounded first, the exponent would err by
// more the farther it is from 0. For that their reference lies halfway between two whole numbers.
template <Precision P>
class Weights {
 public:
  Weights(const Softcap &softcap, float reference)
      : factor_(softcap.factor()),
        low_(softcap.factor_low()),
        minus_(reference == -__builtin_inff() ? -0.5f : -reference),
        start_(minus_ - 0.5f + kWhole),
        lowest_((kLeastExponent - minus_) * softcap.inverse()) {
    if (!(lowest_ > -3.40282347e38f)) lowest_ = -3.40282347e38f;  // a factor of 0
  }

  // The reference for scores of up to `highest`.
  static float reference(float highest, const Softcap &softcap) {
    const float x = highest * softcap.factor();
    return P == kFine ? nearest_whole(x) + 0.5f : x;
  }

  // Whether halves and their sums would not be exact. Nor are the scores.
  bool far_from_zero() const { return P == kFine && __builtin_fabsf(minus_) >= 0x1p20f; }

  // To be called once for scores [from, to) and what else is in their vectors.
  GA_ALWAYS_INLINE void prepare(float *scores, int64_t from, int64_t to) {
    if (!far_from_zero()) return;
    for (int64_t j = from / kWidth * kWidth; j < to; j += kWidth)
      store(scores + j, add(fma(load(scores + j), set(factor_), set(minus_)), set(0.5f)));
    factor_ = 1;
    low_ = 0;
    minus_ = -0.5f;
    start_ = kWhole - 1;
    lowest_ = kLeastExponent;
  }

  // Scores to weights.
  template <int n>
  GA_ALWAYS_INLINE void apply(F (&s)[n]) const {
    F x[n];
#pragma GCC unroll 8
    for (int i = 0; i < n; i++) {
      if constexpr (P == kCoarse) {
        x[i] = clamp_exponent(fma(s[i], set(factor_), set(minus_)));
        s[i] = fraction(x[i]);
      } else {
        s[i] = max(set(lowest_), s[i]);  // this order keeps a NaN
        x[i] = sub(fma(s[i], set(factor_), set(start_)), set(kWhole));
        s[i] = fma(s[i], set(low_), fnma(s[i], set(-factor_), sub(set(minus_), x[i])));
      }
    }
    power_of_two<P>(x, s);
  }

  GA_ALWAYS_INLINE F operator()(F score) const {
    F weight[] = {score};
    apply(weight);
    return weight[0];
  }

 private:
  float factor_, low_, minus_, start_, lowest_;
};

}  // namespace ga::GA_ISA
