// What float64 within a tolerance cannot tell: how often the result is rounded, and where.

#include <gtest/gtest.h>

#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "shapes.h"

namespace gatest {
namespace {

class Rounding : public IsaTest {
 protected:
  // All scores are equal, and of 64 values 22 are the number that follows 1, so that Y lies a third of the way from 1 to it:
  // it would round down to 1. The gate is the last number below 2: Y times it lies two thirds of the way from there to 2.
  static double result(ga_dtype dtype, int32_t flags, int64_t queries) {
    Case c = shaped_case({"", 1, queries, 64, 2, 1, 64, 64, false}, dtype);
    c.activation = GA_IDENTITY;
    c.flags = flags;
    const Instance instance(c);
    const double step = dtype == GA_BF16 ? 0x1p-7 : dtype == GA_F16 ? 0x1p-10 : 0x1p-23;
    for (int64_t d = 0; d < 64; ++d) {
      for (int64_t key = 0; key < c.seq_k; ++key)
        store(dtype, instance.address(c.v, 0, key, 0, d), key < 22 ? 1 + step : 1);
      for (int64_t i = 0; i < queries; ++i) {
        for (int64_t h = 0; h < 2; ++h) {
          store(dtype, instance.address(c.q, 0, i, h, d), 0);
          store(dtype, instance.address(c.gate, 0, i, h, d), 2 - step);
        }
      }
    }
    const Runtime runtime(1, GetParam());
    EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
    return load(dtype, instance.address(c.out, 0, queries - 1, 1, 63));
  }
};

TEST_P(Rounding, HappensOnceAfterTheGate) {
  for (const int64_t queries : {1, 70}) {
    EXPECT_EQ(result(GA_BF16, 0, queries), 2);
    EXPECT_EQ(result(GA_F16, 0, queries), 2);
  }
}

TEST_P(Rounding, HappensBeforeTheGateTooWhereAskedFor) {
  for (const int64_t queries : {1, 70}) {
    EXPECT_EQ(result(GA_BF16, GA_ROUND_BEFORE_GATE, queries), 2 - 0x1p-7);
    EXPECT_EQ(result(GA_F16, GA_ROUND_BEFORE_GATE, queries), 2 - 0x1p-10);
    EXPECT_EQ(result(GA_F32, GA_ROUND_BEFORE_GATE, queries), result(GA_F32, 0, queries));
  }
}

GA_FOR_EACH_ISA(Rounding);

}  // namespace
}  // namespace gatest
