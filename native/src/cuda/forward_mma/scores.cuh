// From products q . k to scores in powers of two, softcapped where asked for: c * tanh(scale * q . k / c).
//
// Without a cap a score is one factor away, which the exponential takes in. With one the products become tanh of them first, and
// the factor is c instead.
#pragma once

#include "cuda/gate.cuh"

namespace ga::cuda::prefill {

// The reference of a row's exponentials follows its maximum only when that grew by over 2^8: weights stay below 2^8 times 1.
constexpr float kRescaleAt = 8;

struct Scores {
  bool capped;
  bool negate;   // the queries, so that the largest score is the largest product
  float before;  // what a product is multiplied by before tanh
  float factor;  // what it is multiplied by then, into powers of two
};

static_assert(sizeof(Scores) <= 16);

static GA_ALWAYS_INLINE Scores scores_of(const Problem &p) {
  const float scale = fabsf(p.scale);
  if (!(p.softcap > 0)) {
    // Not 0, which would turn the -infinity of a masked score into NaN.
    const float factor = scale * kLog2E;
    return {false, p.scale < 0, 1, factor > 0x1p-126f ? factor : 0x1p-126f};
  }
  // A higher cap changes no score that f32 tells from its neighbors, and c * log2(e) must not overflow.
  const float c = p.softcap < 0x1p64f ? p.softcap : 0x1p64f;
  const float before = scale / c;
  return {true, p.scale < 0, before < 0x1p127f ? before : 0x1p127f, c * kLog2E};
}

}  // namespace ga::cuda::prefill
