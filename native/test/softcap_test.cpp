// Softcapped scores against float64 over the whole range of the cap, and at its ends.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "shapes.h"

namespace gatest {
namespace {

class Softcaps : public IsaTest {
 protected:
  std::string difference(const Case &c) const {
    const Instance instance(c);
    const Reference reference = reference_forward(instance.params);
    run(instance);
    return compare(instance, reference, nullptr);
  }

  void run(const Instance &instance) const {
    ga_error error{};
    ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error), GA_OK) << error.message;
  }

  const Runtime runtime_{2, GetParam()};
};

// Scores of 3 standard deviations of 9 against caps that saturate nearly all of them, some, and none.
TEST_P(Softcaps, FromTightToLooseAgreeWithFloat64) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      for (const float cap : {0.01F, 1.0F, 30.0F, 1e4F}) {
        Case c = shaped_case(shape, dtype, {.sink = true});
        c.query_size = 3;
        c.softcap = cap;
        ASSERT_EQ(difference(c), "") << describe(c);
      }
    }
  }
}

// No factor overflows or vanishes on the way, whatever finite cap a caller gives.
TEST_P(Softcaps, OfAnyFiniteSizeAgreeWithFloat64) {
  const float smallest = std::numeric_limits<float>::denorm_min();
  for (const Shape &shape : shapes()) {
    for (const float cap : {smallest, 1e-30F, 1e20F, std::numeric_limits<float>::max()}) {
      Case c = shaped_case(shape, GA_F32);
      c.softcap = cap;
      ASSERT_EQ(difference(c), "") << describe(c);
      c.scale = 0;
      ASSERT_EQ(difference(c), "") << describe(c);
      c.scale = -0.3F;
      ASSERT_EQ(difference(c), "") << describe(c);
    }
  }
}

// c * tanh(inf) is c: an infinite key has the weight of the cap, where without one its row would be NaN.
TEST_P(Softcaps, BoundAnInfiniteScore) {
  for (const int64_t queries : {1, 70}) {
    Case c = shaped_case({"", 1, queries, 64, 2, 1, 64, 64, false}, GA_F32);
    c.softcap = 2;
    const Instance instance(c);
    for (int64_t key = 0; key < c.seq_k; ++key) {
      for (int64_t d = 0; d < 64; ++d) {
        const double element = d > 0 ? 0 : key == 5 ? std::numeric_limits<double>::infinity() : 1e30;
        store(GA_F32, instance.address(c.k, 0, key, 0, d), element);
      }
    }
    for (int64_t i = 0; i < queries; ++i) {
      for (int64_t d = 0; d < 64; ++d) store(GA_F32, instance.address(c.q, 0, i, 1, d), d > 0 ? 0 : 1);
    }
    const Reference reference = reference_forward(instance.params);
    run(instance);
    const double lse = load(GA_F32, instance.address(c.lse, 0, queries - 1, 1, 0));
    EXPECT_NEAR(lse, 2 + std::log(64.0), 1e-5);
    EXPECT_NEAR(reference.lse.back(), lse, 1e-5);
  }
}

GA_FOR_EACH_ISA(Softcaps);

}  // namespace
}  // namespace gatest
