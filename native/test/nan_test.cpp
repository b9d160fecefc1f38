// NaN and infinities: those that a row may see reach it, those that it may not see never do. Rows that see nothing are 0.

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

void fill_row(const Instance &instance, const View &view, int64_t batch, int64_t sequence, int64_t head, double value) {
  for (int64_t d = 0; d < view.extent[3]; ++d) store(view.dtype, instance.address(view, batch, sequence, head, d), value);
}

double at(const Instance &instance, const View &view, int64_t b, int64_t s, int64_t h, int64_t d) {
  return load(view.dtype, instance.address(view, b, s, h, d));
}

class NotANumber : public IsaTest {
 protected:
  NotANumber() : runtime_(2, GetParam()) {}

  void run(const Instance &instance) const {
    ga_error error{};
    ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error), GA_OK) << error.message;
  }

  Instance clean_run(const Case &c) const {
    Instance clean(c);
    run(clean);
    return clean;
  }

  // Spoils an input, then expects NaN in the rows for which reached() holds and the very bits of a clean run in all others.
  void expect_reached(const Instance &clean, const std::function<void(const Instance &)> &spoil,
                      const std::function<bool(int64_t b, int64_t i, int64_t h)> &reached, bool lse_too) const {
    const Case &c = clean.description();
    const Instance spoiled(c);
    spoil(spoiled);
    run(spoiled);
    for (int64_t b = 0; b < c.batch; ++b) {
      for (int64_t i = 0; i < c.seq_q; ++i) {
        for (int64_t h = 0; h < c.heads_q; ++h) {
          const std::string where =
              "row [" + std::to_string(b) + ", " + std::to_string(i) + ", " + std::to_string(h) + "] of ";
          for (int64_t d = 0; d < c.head_dim_v; ++d) {
            const double result = at(spoiled, c.out, b, i, h, d);
            const bool right = reached(b, i, h) ? std::isnan(result) : result == at(clean, c.out, b, i, h, d);
            ASSERT_TRUE(right) << where << describe(c) << " element " << d << " is " << result;
          }
          const double lse = at(spoiled, c.lse, b, i, h, 0);
          const bool right = reached(b, i, h) && lse_too ? std::isnan(lse) : lse == at(clean, c.lse, b, i, h, 0);
          ASSERT_TRUE(right) << where << describe(c) << " lse is " << lse;
        }
      }
    }
  }

  const Runtime runtime_;
};

const std::vector<Shape> &both() {
  static const std::vector<Shape> small = {
      {"prefill", 2, 67, 67, 4, 2, 64, 64, true},
      {"few queries", 2, 4, 300, 4, 2, 64, 64, true},
      {"decode", 2, 1, 1027, 4, 2, 64, 64, true},
  };
  static const std::vector<Shape> all = {
      {"prefill", 2, 131, 131, 4, 2, 64, 64, true},
      {"few queries", 2, 4, 1000, 4, 2, 64, 64, true},
      {"decode", 2, 1, 1500, 4, 2, 64, 64, true},
  };
  return small_shapes() ? small : all;
}

TEST_P(NotANumber, OfAKeyReachesTheRowsThatSeeIt) {
  for (const Shape &shape : both()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype);
      const Instance clean = clean_run(c);
      for (const int64_t from_end : {1, 2, 40}) {
        const int64_t key = c.seq_k - from_end;
        const auto reached = [&](int64_t b, int64_t i, int64_t h) {
          return b == 1 && h / 2 == 1 && key <= i + c.seq_k - c.seq_q;
        };
        expect_reached(clean, [&](const Instance &x) { fill_row(x, c.k, 1, key, 1, kNan); }, reached, true);
        expect_reached(clean, [&](const Instance &x) { fill_row(x, c.v, 1, key, 1, kNan); }, reached, false);
        // One element of a key is enough.
        expect_reached(
            clean, [&](const Instance &x) { store(dtype, x.address(c.k, 1, key, 1, 63), kNan); }, reached, true);
      }
    }
  }
}

TEST_P(NotANumber, OutsideTheWindowReachesNobody) {
  for (const Shape &shape : both()) {
    for (const ga_dtype dtype : kFloatTypes) {
      Case c = shaped_case(shape, dtype);
      c.flags = 0;
      c.window_left = 20;
      c.window_right = 3;
      const Instance clean = clean_run(c);
      const int64_t key = c.seq_k - c.seq_q / 2 - 2;
      const auto reached = [&](int64_t b, int64_t i, int64_t h) {
        const int64_t diagonal = i + c.seq_k - c.seq_q;
        return b == 0 && h / 2 == 0 && key >= diagonal - 20 && key <= diagonal + 3;
      };
      expect_reached(clean, [&](const Instance &x) { fill_row(x, c.k, 0, key, 0, kNan); }, reached, true);
      expect_reached(clean, [&](const Instance &x) { fill_row(x, c.v, 0, key, 0, kNan); }, reached, false);
    }
  }
}

// Kernels that multiply keys in pairs must not let a hidden key in beside the first or the last one that is seen.
TEST_P(NotANumber, OfAKeyBesideTheWindowReachesNobody) {
  for (const ga_dtype dtype : kFloatTypes) {
    Case c = shaped_case({"all rows of a position together", 1, 7, 33, 8, 1, 64, 72, false}, dtype);
    c.window_left = 7;
    c.window_right = 2;
    const Instance clean = clean_run(c);
    for (int64_t key = 0; key < c.seq_k; ++key) {
      const auto reached = [&](int64_t, int64_t i, int64_t) {
        const int64_t diagonal = i + c.seq_k - c.seq_q;
        return key >= diagonal - 7 && key <= diagonal + 2;
      };
      const auto spoil = [&](const Instance &x) {
        fill_row(x, c.k, 0, key, 0, kNan);
        fill_row(x, c.v, 0, key, 0, kNan);
      };
      expect_reached(clean, spoil, reached, true);
    }
  }
}

TEST_P(NotANumber, BeyondTheKeyLengthReachesNobody) {
  const auto nobody = [](int64_t, int64_t, int64_t) { return false; };
  for (const Shape &shape : both()) {
    for (const ga_dtype dtype : kFloatTypes) {
      Case c = shaped_case(shape, dtype, {.key_lengths = true});
      c.lengths = {static_cast<int32_t>(c.seq_k / 2 + 3), 1};
      const Instance clean = clean_run(c);
      for (const double value : {kNan, kInfinity, -kInfinity}) {
        const auto spoil = [&](const Instance &x) {
          for (int64_t b = 0; b < c.batch; ++b) {
            for (int64_t key = c.lengths[static_cast<size_t>(b)]; key < c.seq_k; ++key) {
              for (int64_t head = 0; head < c.heads_kv; ++head) {
                fill_row(x, c.k, b, key, head, value);
                fill_row(x, c.v, b, key, head, value);
              }
            }
          }
        };
        expect_reached(clean, spoil, nobody, true);
      }
    }
  }
}

TEST_P(NotANumber, InfinityBehindTheCausalDiagonalReachesNobody) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Case c = shaped_case({"prefill", 1, 131, 131, 2, 1, 64, 64, true}, dtype);
    const Instance clean(c);
    const Instance spoiled(c);
    for (const int64_t key : {70, 71, 130}) {
      fill_row(spoiled, c.k, 0, key, 0, key % 2 == 0 ? kInfinity : -kInfinity);
      fill_row(spoiled, c.v, 0, key, 0, kInfinity);
    }
    run(clean);
    run(spoiled);
    for (int64_t i = 0; i < c.seq_q; ++i) {
      for (int64_t d = 0; d < c.head_dim_v; ++d) {
        const double result = at(spoiled, c.out, 0, i, 0, d);
        const bool right = i < 70 ? result == at(clean, c.out, 0, i, 0, d) : !std::isfinite(result);
        ASSERT_TRUE(right) << "row " << i << " element " << d << " is " << result << ": " << describe(c);
      }
    }
  }
}

TEST_P(NotANumber, OfAQueryReachesItsRowAlone) {
  for (const Shape &shape : both()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype);
      const Instance clean = clean_run(c);
      const int64_t query = c.seq_q - 1;
      const auto reached = [&](int64_t b, int64_t i, int64_t h) { return b == 1 && i == query && h == 2; };
      expect_reached(
          clean, [&](const Instance &x) { store(dtype, x.address(c.q, 1, query, 2, 5), kNan); }, reached, true);
      expect_reached(clean, [&](const Instance &x) { fill_row(x, c.q, 1, query, 2, kNan); }, reached, true);
    }
  }
}

TEST_P(NotANumber, PassesThroughWhatPrecedesTheGate) {
  for (const ga_pre_gate pre : {GA_PRE_RMS_NORM, GA_PRE_SILU}) {
    for (const int32_t rounding : {0, static_cast<int32_t>(GA_ROUND_BEFORE_GATE)}) {
      for (const ga_dtype dtype : kFloatTypes) {
        Case c = shaped_case(both().front(), dtype);
        c.pre_gate = pre;
        c.flags |= rounding;
        const int64_t key = c.seq_k - 31;
        const auto reached = [&](int64_t b, int64_t i, int64_t h) { return b == 0 && h / 2 == 0 && i >= key; };
        const auto spoil = [&](const Instance &x) { fill_row(x, c.v, 0, key, 0, kNan); };
        expect_reached(clean_run(c), spoil, reached, false);
      }
    }
  }
}

TEST_P(NotANumber, OfAGateReachesItsElementAlone) {
  for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation) {
    for (const ga_combination combination : {GA_MULTIPLY, GA_ADD}) {
      for (const ga_dtype dtype : kFloatTypes) {
        Case c = shaped_case({"prefill", 1, 33, 33, 2, 1, 64, 40, true}, dtype);
        c.activation = activation;
        c.combination = combination;
        const Instance clean(c);
        const Instance spoiled(c);
        for (const int64_t element : {0, 7, 39}) store(dtype, spoiled.address(c.gate, 0, 9, 1, element), kNan);
        run(clean);
        run(spoiled);
        for (int64_t i = 0; i < c.seq_q; ++i) {
          for (int64_t h = 0; h < c.heads_q; ++h) {
            for (int64_t d = 0; d < c.head_dim_v; ++d) {
              const double result = at(spoiled, c.out, 0, i, h, d);
              const bool reached = i == 9 && h == 1 && (d == 0 || d == 7 || d == 39);
              ASSERT_TRUE(reached ? std::isnan(result) : result == at(clean, c.out, 0, i, h, d))
                  << "element [" << i << ", " << h << ", " << d << "] is " << result << ": " << describe(c);
            }
          }
        }
      }
    }
  }
}

// Scores far beyond where exp() overflows or vanishes in f32.
TEST_P(NotANumber, NeverComesFromLargeGateScores) {
  for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation) {
    for (const ga_dtype dtype : kFloatTypes) {
      Case c = shaped_case({"prefill", 1, 16, 16, 2, 1, 64, 64, true}, dtype);
      c.activation = activation;
      const Instance instance(c);
      const double scores[] = {-30000, -1000, -104, -90, -88, -87, -20, -1e-4, 0,
                               1e-4,   20,    87,   88,  89,  90,  104, 1000,  30000};
      for (int64_t i = 0; i < c.seq_q; ++i) {
        for (int64_t d = 0; d < c.head_dim_v; ++d) {
          store(dtype, instance.address(c.gate, 0, i, 0, d), scores[(i + d) % 18]);
          store(dtype, instance.address(c.gate, 0, i, 1, d), scores[(i * 5 + d) % 18]);
        }
      }
      const Reference reference = reference_forward(instance.params);
      run(instance);
      EXPECT_EQ(compare(instance, reference, nullptr), "") << describe(c);
    }
  }
}

class MaskedRows : public NotANumber {};

// Queries before the first key (Sq > Sk, causal), empty sequences, and no keys at all.
TEST_P(MaskedRows, AreZeroWithMinusInfinity) {
  const Shape masked[] = {
      {"more queries than keys", 2, 140, 50, 4, 2, 64, 64, true},
      {"decode of two with one key", 2, 2, 1, 4, 2, 64, 64, true},
      {"no keys", 2, 3, 0, 4, 2, 64, 64, false},
  };
  for (const Shape &shape : masked) {
    for (const ga_pre_gate pre : {GA_PRE_NONE, GA_PRE_RMS_NORM, GA_PRE_SILU}) {
      for (const ga_dtype dtype : kFloatTypes) {
        for (const bool gated : {false, true}) {
          Case c = shaped_case(shape, dtype, {.gate = gated});
          c.pre_gate = pre;
          c.norm_eps = 0;
          const Instance instance(c);
          run(instance);
          for (int64_t i = 0; i < c.seq_q; ++i) {
            const bool sees_nothing = i + c.seq_k - c.seq_q < 0 || c.seq_k == 0;
            const double lse = at(instance, c.lse, 1, i, 3, 0);
            EXPECT_EQ(lse == -kInfinity, sees_nothing) << "row " << i << " lse " << lse << ": " << describe(c);
            for (int64_t d = 0; d < c.head_dim_v; ++d) {
              const double result = at(instance, c.out, 1, i, 3, d);
              ASSERT_EQ(result == 0, sees_nothing)
                  << "row " << i << " element " << d << " is " << result << ": " << describe(c);
            }
          }
        }
      }
    }
  }
}

TEST_P(MaskedRows, HoldTheActivationWhereTheGateIsAdded) {
  Case c = shaped_case({"more queries than keys", 1, 20, 5, 2, 1, 64, 64, true}, GA_F32);
  c.combination = GA_ADD;
  c.activation = GA_IDENTITY;
  const Instance instance(c);
  run(instance);
  for (int64_t d = 0; d < c.head_dim_v; ++d) {
    EXPECT_EQ(at(instance, c.out, 0, 14, 1, d), at(instance, c.gate, 0, 14, 1, d));
  }
}

TEST_P(MaskedRows, AreZeroForSequencesOfLengthZero) {
  for (const Shape &shape : both()) {
    Case c = shaped_case(shape, GA_BF16, {.key_lengths = true});
    c.flags = 0;
    c.lengths = {0, static_cast<int32_t>(c.seq_k)};
    c.poison = true;
    EXPECT_EQ(run_and_check(runtime_.handle(), c, Placement::kRedZones, nullptr), "");
  }
}

GA_FOR_EACH_ISA(NotANumber);
GA_FOR_EACH_ISA(MaskedRows);

}  // namespace
}  // namespace gatest
