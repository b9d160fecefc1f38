// Activations of a tile of the gate: what is done is decided once for eight elements, not for each.
#pragma once

#include "cuda/gate.cuh"
#include "cuda/ptx/math.cuh"

namespace ga::cuda::sm90 {

// (c0 + c1 sigmoid(g)) (c2 + c3 g): all activations but two.
struct SigmoidFamily {
  float c0, c1, c2, c3;
};
static GA_DEVICE SigmoidFamily sigmoid_family(ga_activation activation) {
  switch (activation) {
    case GA_SILU: return {0, 1, 0, 1};
    case GA_IDENTITY: return {1, 0, 0, 1};
    case GA_NS_SIGMOID: return {0.5F, 0.5F, 1, 0};
    case GA_TWO_SIGMOID: return {0, 2, 1, 0};
    default: return {0, 1, 1, 0};
  }
}

// a[2 i], a[2 i + 1]: of the pair u[i] of type T.
template <typename T>
GA_DEVICE void activate_eight(ga_activation activation, const uint32_t (&u)[4], float *a) {
  constexpr float kLargest = 3.40282347e38F;
  if (activation == GA_SIGMOID) {
    GA_UNROLL for (int i = 0; i < 4; ++i) {
      const Pair g = unpack<T>(u[i]);
      a[2 * i] = sigmoid<kCoarse>(g.lo);
      a[2 * i + 1] = sigmoid<kCoarse>(g.hi);
    }
  } else if (activation == GA_TANH || activation == GA_SOFTPLUS) {
    GA_UNROLL for (int i = 0; i < 4; ++i) {
      const Pair g = unpack<T>(u[i]);
      a[2 * i] = activation == GA_TANH ? tanh_of<kCoarse>(g.lo) : softplus<kCoarse>(g.lo);
      a[2 * i + 1] = activation == GA_TANH ? tanh_of<kCoarse>(g.hi) : softplus<kCoarse>(g.hi);
    }
  } else {
    const SigmoidFamily family = sigmoid_family(activation);
    GA_UNROLL for (int i = 0; i < 8; ++i) {
      const Pair pair = unpack<T>(u[i / 2]);
      const float g = i % 2 == 0 ? pair.lo : pair.hi;
      const float finite = fminf(fmaxf(g, -kLargest), kLargest);  // an infinite one times 0 would be none
      a[i] = fmaf(family.c1, sigmoid<kCoarse>(g), family.c0) * fmaf(family.c3, finite, family.c2);
    }
  }
}

}  // namespace ga::cuda::sm90
