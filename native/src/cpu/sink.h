// The sink of a row: one more term of its softmax denominator, without a value. It joins once, when the sum over the keys
// is complete, so that no kernel knows of it.
#pragma once

#include "cpu/math.h"

namespace ga::GA_ISA {

// What becomes of a row's sum over the keys, of exp2(score - maximum).
struct Denominator {
  float keys;    // normalizes the values as if there were no sink; 0 for a row that sees no key
  double share;  // the keys' share of the probability: down to 2^-1000, where f32 would be 0
  float lse;     // where it is wanted: it costs as much as two vectors of a gate
};

GA_INLINE Denominator without_sink(float sum, float maximum, bool want_lse) {
  if (sum == 0) return {0.0f, 1, -__builtin_inff()};  // the row sees no key; a NaN is not 0 and goes on
  return {1.0f / sum, 1,
          !want_lse    ? 0
          : sum != sum ? sum
                       : static_cast<float>(kLn2Double * (maximum + static_cast<double>(log2_scalar(sum))))};
}

// The larger of the two, the maximum of the keys and the sink, is the reference of both, so that neither overflows. In double:
// a sink may lie far from the scores, where f32 would round its distance to them by more than their weights may err. A row that
// sees no key (sum 0, maximum -inf) keeps the sink as its whole denominator.
GA_INLINE Denominator with_sink(float sink, float sum, float maximum, bool want_lse) {
  if (sink == -__builtin_inff()) return without_sink(sum, maximum, want_lse);  // a term of 0
  const double in_log2 = sink * kLog2EDouble;
  const double reference = in_log2 < maximum ? maximum : in_log2;  // the sink where it is NaN
  const double keys = sum * exp2_scalar(maximum - reference), total = keys + exp2_scalar(in_log2 - reference);
  const double scaled = in_log2 < maximum ? maximum * kLn2Double : sink;
  const double lse = !want_lse ? 0 : total != total ? total : scaled + kLn2 * log2_scalar(static_cast<float>(total));
  return {sum == 0 ? 0.0f : 1.0f / sum, keys / total, static_cast<float>(lse)};
}

}  // namespace ga::GA_ISA
