// Softmax of prefill, vector by vector: P of a row by a block of keys, its sum, and what its weights refer to.
#pragma once

#include "cpu/microkernel.h"
#include "cpu/weights.h"

namespace ga::GA_ISA {
namespace {

template <class Product>
struct PrefillWeights {
  static constexpr Precision kPrecision = Product::kPack == 2 ? kCoarse : kFine;
  using Element = std::conditional_t<Product::kPack == 2, bf16, float>;

  struct Reference {
    float maximum;  // in units of log2, after scaling
    float limit;    // scores up to here leave it as it is; -infinity where weights have to be prepared
    Weights<kPrecision> weights;

    explicit Reference(const Softcap &softcap) : maximum(-__builtin_inff()), limit(maximum), weights(softcap, maximum) {}
    // `above`: the exponent up to which weights are let grow.
    void set(const Softcap &softcap, float to, float above) {
      maximum = to;
      weights = Weights<kPrecision>(softcap, to);
      limit = weights.far_from_zero() ? -__builtin_inff() : (to + above) * softcap.inverse();
    }
  };
  static_assert(sizeof(Reference) == kReferenceBytes);

  // Two vectors of weights.
  static GA_ALWAYS_INLINE void store_both(Element *to, F low, F high) {
#ifdef GA_NATIVE_BF16
    if constexpr (Product::kPack == 2) return store_units(to, pack_pairs(low, high));
#endif
    store(to, low);
    store(to + kWidth, high);
  }

  // Two vectors that are stored already, exactly: it is a power of two.
  static GA_ALWAYS_INLINE void multiply_both(Element *at, F power) {
#ifdef GA_NATIVE_BF16
    if constexpr (Product::kPack == 2) return store_units(at, multiply_pairs(load_units(at), power));
#endif
    store(at, mul(load(at), power));
    store(at + kWidth, mul(load(at + kWidth), power));
  }

  // Weights of some rows by a whole panel, from scores [rows][panel] to rows of P [rows][kKeyBlock]. A vector per step, beside a
  // product; or all at once, to the same bits.
  class Panel {
   public:
    Panel(const float *scores, int rows, const Reference *reference, float *sum, Element *to)
        : scores_(scores), reference_(reference), sum_(sum), to_(to), left_(rows * kPanelVectors) {}
    GA_ALWAYS_INLINE bool more() const { return left_ > 0; }
    GA_ALWAYS_INLINE void step() {
      F weight[] = {load(scores_)};
      reference_->weights.apply(weight);
      store(sum_, add(load(sum_), weight[0]));
      store(to_, weight[0]);
      scores_ += kWidth;
      to_ += kWidth;
      left_--;
      if (left_ % kPanelVectors == 0) next_row();
    }
    void all() {
      for (; more(); left_ -= kPanelVectors) {
        F weight[kPanelVectors], sum = load(sum_);
#pragma GCC unroll 8
        for (int j = 0; j < kPanelVectors; j++) weight[j] = load(scores_ + j * kWidth);
        reference_->weights.apply(weight);
#pragma GCC unroll 8
        for (int j = 0; j < kPanelVectors; j++) sum = add(sum, weight[j]);
#pragma GCC unroll 8
        for (int j = 0; j < kPanelVectors; j += 2) store_both(to_ + j * kWidth, weight[j], weight[j + 1]);
        store(sum_, sum);
        scores_ += kPanel;
        to_ += kPanel;
        next_row();
      }
    }

   private:
    GA_ALWAYS_INLINE void next_row() {
      reference_++;
      sum_ += kWidth;
      to_ += kKeyBlock - kPanel;
    }

    const float *scores_;
    const Reference *reference_;
    float *sum_;
    Element *to_;
    int left_;  // vectors
  };
};

}  // namespace
}  // namespace ga::GA_ISA
