// The sink against float64 where it is far from the scores, and what it does to rows without keys and with NaN.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class Sinks : public IsaTest {
 protected:
  void run(const Instance &instance) const {
    ga_error error{};
    ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error), GA_OK) << error.message;
  }

  static void set_sink(const Instance &instance, int64_t head, double logit) {
    store(GA_F32, instance.address(instance.description().sink, 0, 0, head, 0), logit);
  }

  static double out(const Instance &instance, int64_t i, int64_t head, int64_t d) {
    const Case &c = instance.description();
    return load(c.dtype, instance.address(c.out, 0, i, head, d));
  }

  static double lse(const Instance &instance, int64_t i, int64_t head) {
    return load(GA_F32, instance.address(instance.description().lse, 0, i, head, 0));
  }

  const Runtime runtime_{2, GetParam()};
};

// From a sink that takes all of the weight to one that takes none.
TEST_P(Sinks, FarFromTheScoresAgreeWithFloat64) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      for (const double far : {100.0, -87.5, 20.0, 0.0}) {
        const Case c = shaped_case(shape, dtype, {.sink = true});
        const Instance instance(c);
        for (int64_t head = 0; head < c.heads_q; ++head) set_sink(instance, head, head % 2 == 0 ? far : -far);
        const Reference reference = reference_forward(instance.params);
        run(instance);
        ASSERT_EQ(compare(instance, reference, nullptr), "") << "sink " << far << ": " << describe(c);
      }
    }
  }
}

TEST_P(Sinks, OfMinusInfinityAreNone) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Instance without(shaped_case(shape, dtype));
      const Instance with(shaped_case(shape, dtype, {.sink = true}));
      for (int64_t head = 0; head < shape.heads_q; ++head) set_sink(with, head, -kInfinity);
      run(without);
      run(with);
      EXPECT_EQ(with.out_bits(), without.out_bits()) << describe(with.description());
      EXPECT_EQ(with.lse_bits(), without.lse_bits()) << describe(with.description());
    }
  }
}

// The sink is then the whole denominator: its logarithm is the sink itself, to the bit.
TEST_P(Sinks, AreTheLogSumExpOfRowsWithoutKeys) {
  for (const int64_t queries : {140, 5}) {
    const Shape shape = {"more queries than keys", 1, queries, 3, 4, 2, 64, 64, true};
    for (const ga_dtype dtype : kFloatTypes) {
      const Instance instance(shaped_case(shape, dtype, {.sink = true}));
      const double logits[] = {-1.25, 100, -kInfinity, kNan};
      for (int64_t head = 0; head < 4; ++head) set_sink(instance, head, logits[head]);
      run(instance);
      for (int64_t head = 0; head < 3; ++head) {
        EXPECT_EQ(lse(instance, 0, head), logits[head]);
        for (int64_t d = 0; d < 64; ++d) EXPECT_EQ(out(instance, 0, head, d), 0);
      }
      EXPECT_TRUE(std::isnan(lse(instance, 0, 3)));
      EXPECT_TRUE(std::isnan(out(instance, 0, 3, 63)));
    }
  }
}

// exp(+inf) has no normalized weights, for a sink as for a score.
TEST_P(Sinks, ThatAreNoNumberMakeTheirHeadNan) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      for (const double logit : {kNan, kInfinity}) {
        const Case c = shaped_case(shape, dtype, {.sink = true});
        const Instance clean(c);
        const Instance spoiled(c);
        const int64_t head = c.heads_q - 1;
        set_sink(spoiled, head, logit);
        run(clean);
        run(spoiled);
        for (int64_t i = 0; i < c.seq_q; ++i) {
          EXPECT_TRUE(std::isnan(lse(spoiled, i, head))) << describe(c);
          EXPECT_TRUE(std::isnan(out(spoiled, i, head, 0))) << describe(c);
          if (head == 0) continue;
          EXPECT_EQ(lse(spoiled, i, 0), lse(clean, i, 0)) << describe(c);
          EXPECT_EQ(out(spoiled, i, 0, 0), out(clean, i, 0, 0)) << describe(c);
        }
      }
    }
  }
}

GA_FOR_EACH_ISA(Sinks);

}  // namespace
}  // namespace gatest
