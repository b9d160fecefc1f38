// Gradients at the edges: rows without keys, saturated gates, single positions, every group size, NaN that is not seen,
// memory up to the last byte, scratch memory that is lent.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "backward_case.h"
#include "environment.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "shapes.h"

namespace gatest {
namespace {

class BackwardValues : public IsaTest {
 protected:
  BackwardValues() : runtime_(2, GetParam()) {}

  void expect_right(const Case &c, Placement placement = Placement::kRedZones) const {
    announce_case(describe(c));
    EXPECT_EQ(run_backward_and_check(runtime_.handle(), c, placement, nullptr), "");
  }

  const Runtime runtime_;
};

double value_at(const Instance &instance, const View &view, int64_t b, int64_t s, int64_t h, int64_t d) {
  return load(view.dtype, instance.address(view, b, s, h, d));
}

TEST_P(BackwardValues, RowsWithoutKeysHaveNoGradients) {
  for (const ga_dtype dtype : kFloatTypes)
    for (const bool sink : {false, true}) {
      Case c = shaped_case({"", 1, 300, 20, 2, 1, 64, 64, true}, dtype, {.sink = sink, .lse = true});  // the first 280
      add_gradients(c);
      Instance instance(c);
      ASSERT_EQ(run_backward(runtime_.handle(), instance), "");
      for (int64_t i = 0; i < 280; ++i)
        for (int64_t h = 0; h < 2; ++h)
          for (int64_t d = 0; d < 64; ++d) {
            ASSERT_EQ(value_at(instance, c.dq, 0, i, h, d), 0) << i;
            ASSERT_EQ(value_at(instance, c.dgate, 0, i, h, d), 0) << i;
          }
      expect_right(c);
      c.seq_k = 0;
      c.k.extent[1] = c.v.extent[1] = c.dk.extent[1] = c.dv.extent[1] = 0;
      expect_right(c);
    }
}

TEST_P(BackwardValues, SaturatedGatesAreFiniteAndRight) {
  for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation)
    for (const ga_combination combination : {GA_MULTIPLY, GA_ADD})
      for (const bool headwise : {false, true})
        for (const double score : {-80.0, 80.0}) {
          Case c = shaped_case({"", 1, 33, 33, 2, 1, 32, 32, true}, GA_F32, {.gate = false, .lse = true});
          c.activation = activation;
          c.combination = combination;
          c.gate = own_block(c, GA_F32, {1, 33, 2, headwise ? 1 : 32});
          if (headwise) c.gate.stride[3] = 0;
          add_gradients(c);
          Instance instance(c);
          for (int64_t i = 0; i < 33; ++i)
            for (int64_t h = 0; h < 2; ++h)
              for (int64_t d = 0; d < c.gate.extent[3]; ++d)
                store(GA_F32, instance.address(c.gate, 0, i, h, d), i % 3 == 0 ? -score : score);
          ASSERT_EQ(run_backward(runtime_.handle(), instance), "") << describe(c);
          EXPECT_EQ(compare_gradients(instance, nullptr), "") << describe(c);
        }
}

// Where O does not tell Y, it is computed once more: in f32, not as 16 bits would store it, or Delta would not be the sum of P dP.
TEST_P(BackwardValues, AYThatIsComputedOnceMoreIsNotRounded) {
  Case c = shaped_case({"", 2, 40, 40, 4, 2, 64, 64, true}, GA_F16, {.lse = true});
  c.combination = GA_ADD;
  add_gradients(c);
  c.dq = own_block(c, GA_F32, c.q.extent);
  Case given = c;
  given.ungated = own_block(given, GA_F32, c.out.extent);  // of float64
  Instance computes(c), reads(given);
  ASSERT_EQ(run_backward(runtime_.handle(), computes), "");
  ASSERT_EQ(run_backward(runtime_.handle(), reads), "");
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t i = 0; i < 40; ++i)
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t d = 0; d < 64; ++d)
          ASSERT_NEAR(value_at(computes, c.dq, b, i, h, d), value_at(reads, given.dq, b, i, h, d), 1e-6)
              << b << ' ' << i << ' ' << h << ' ' << d;
}

// The norm takes away what a sink does to Y, so no sum of its terms may be left: none of dY's rounding to 16 bits, for one.
TEST_P(BackwardValues, ASinkBesideANormWithoutEpsHasNoGradient) {
  for (const ga_dtype dtype : kFloatTypes) {
    Case c = shaped_case({"", 1, 5, 40, 4, 2, 64, 64, true}, dtype, {.norm_weight = true, .sink = true});
    c.pre_gate = GA_PRE_RMS_NORM;
    c.norm_eps = 0;
    add_gradients(c);
    Instance instance(c);
    ASSERT_EQ(run_backward(runtime_.handle(), instance), "");
    const Dense<double> size =
        gradient_magnitudes(instance.params, load_operands(instance.params, instance.backward.dout)).dsink;
    for (int64_t h = 0; h < 4; ++h)
      EXPECT_NEAR(value_at(instance, c.dsink, 0, 0, h, 0), 0, 0x1p-22 * size.at(0, 0, h, 0)) << describe(c);
  }
}

// Of O (or Y) and L as they were saved, to the precision of f32: whatever dY is rounded to where products take it in 16 bits.
TEST_P(BackwardValues, ASinksGradientIsAsExactAsWhatWasSaved) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  for (const ga_dtype dtype : kFloatTypes)
    for (const ga_pre_gate pre : {GA_PRE_NONE, GA_PRE_SILU})
      for (const ga_activation activation : {GA_SIGMOID, GA_TANH}) {
        Case c = shaped_case({"", 1, 5, 40, 4, 2, 64, 64, true}, dtype, {.sink = true});
        c.pre_gate = pre;
        c.activation = activation;
        add_gradients(c);
        const bool of_out = pre == GA_PRE_NONE && activation == GA_SIGMOID;
        if (!of_out) c.ungated = own_block(c, GA_F32, c.out.extent);
        Instance instance(c);
        ASSERT_EQ(run_backward(runtime_.handle(), instance), "");
        for (int64_t h = 0; h < 4; ++h) {
          double expected = 0, size = 0;
          for (int64_t i = 0; i < 5; ++i) {
            const double weight =
                std::exp(value_at(instance, c.sink, 0, 0, h, 0) - value_at(instance, c.lse, 0, i, h, 0));
            for (int64_t d = 0; d < 64; ++d) {
              const double g = value_at(instance, c.gate, 0, i, h, d);
              const double y = value_at(instance, of_out ? c.out : c.ungated, 0, i, h, d);
              const double slope = pre == GA_PRE_SILU ? sigmoid(y) * (1 + y * sigmoid(-y)) : 1;
              const double a = of_out ? 1 : activation == GA_SIGMOID ? sigmoid(g) : std::tanh(g);
              const double term = weight * value_at(instance, c.dout, 0, i, h, d) * a * slope * y;
              expected -= term;
              size += std::fabs(term);
            }
          }
          EXPECT_NEAR(value_at(instance, c.dsink, 0, 0, h, 0), expected, 0x1p-22 * size) << describe(c);
        }
      }
}

TEST_P(BackwardValues, EveryGroupSizeAndSinglePositions) {
  for (int32_t group = 1; group <= 16; ++group)
    for (const int64_t length : {1, 37}) {
      Case c = shaped_case({"", 2, length, length, 2 * group, 2, 24, 40, true}, kFloatTypes[group % 3], {.lse = true});
      add_gradients(c);
      expect_right(c);
    }
}

TEST_P(BackwardValues, NothingIsTouchedOutsideOfAnOperand) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 10;
  for (const Placement placement : {Placement::kGuardAfter, Placement::kGuardBefore})
    for (int64_t n = 0; n < cases; ++n)
      expect_right(random_backward_case(case_seed(191, n), {.budget = 200'000, .tight = true}), placement);
}

TEST_P(BackwardValues, EveryRaggedTailStaysInside) {
  for (int32_t dim = 8; dim <= 136; dim += 8)
    for (const int64_t keys : {1, 5, 17, 66}) {
      Case c = shaped_case({"", 1, keys, keys, 2, 1, dim, 144 - dim, true}, kFloatTypes[dim / 8 % 3], {.lse = true});
      add_gradients(c);
      expect_right(c, Placement::kGuardAfter);
    }
}

// A NaN in row i of an operand reaches what sees it and nothing else.
TEST_P(BackwardValues, NotANumberStaysWhereItIsSeen) {
  for (const ga_dtype dtype : kFloatTypes)
    for (int operand = 0; operand < 4; ++operand)
      for (const int64_t at : {0, 77, 299}) {
        Case c = shaped_case({"", 1, 300, 300, 2, 1, 40, 40, true}, dtype, {.lse = true});
        c.window_left = 100;
        add_gradients(c);
        Instance instance(c);
        const View view = operand == 0 ? c.q : operand == 1 ? c.k : operand == 2 ? c.v : c.dout;
        store(dtype, instance.address(view, 0, at, 0, 3), std::numeric_limits<double>::quiet_NaN());
        ASSERT_EQ(run_backward(runtime_.handle(), instance), "");
        const bool of_query = operand == 0 || operand == 3;
        for (int64_t i = 0; i < 300; ++i) {
          // Queries that see key `at`, or are it; keys that one of those sees.
          const bool query_hit = of_query ? i == at : i >= at && i <= at + 100;
          const bool key_hit = of_query ? i <= at && i >= at - 100 : i >= at - 100 && i <= at + 100;
          for (int64_t d = 0; d < 40; ++d) {
            if (!query_hit) {
              ASSERT_FALSE(std::isnan(value_at(instance, c.dq, 0, i, 0, d))) << i << ' ' << operand;
            }
            if (!key_hit) {
              ASSERT_FALSE(std::isnan(value_at(instance, c.dk, 0, i, 0, d))) << i << ' ' << operand << ' ' << at;
              ASSERT_FALSE(std::isnan(value_at(instance, c.dv, 0, i, 0, d))) << i << ' ' << operand << ' ' << at;
            }
          }
          if (query_hit) {
            ASSERT_TRUE(std::isnan(value_at(instance, c.dq, 0, i, 0, 0))) << i << ' ' << operand;
          }
        }
      }
}

TEST_P(BackwardValues, LentScratchIsEnoughAsPlanned) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    const Case c = random_backward_case(case_seed(192, n), {.budget = 200'000});
    announce_case(describe(c));
    Instance instance(c);
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    ga_error error{};
    ASSERT_EQ(ga_attention_backward_plan_for(runtime_.handle(), &instance.params, &instance.backward, &plan, &error),
              GA_OK)
        << error.message;
    const int64_t bytes = (plan.workspace_bytes + 63) / 64 * 64;
    Block scratch(bytes + 64, Placement::kRedZones);
    auto address = reinterpret_cast<uintptr_t>(scratch.data());
    address = (address + 63) / 64 * 64;
    instance.backward.workspace = reinterpret_cast<void *>(address);
    instance.backward.workspace_bytes = plan.workspace_bytes;
    scratch.take_snapshot();
    EXPECT_EQ(run_backward(runtime_.handle(), instance), "") << describe(c);
    if (plan.workspace_bytes == 0) continue;
    instance.backward.workspace_bytes -= 1;
    EXPECT_EQ(ga_attention_backward(runtime_.handle(), &instance.params, &instance.backward, &error),
              GA_INVALID_ARGUMENT);
    EXPECT_NE(std::string(error.message).find("workspace_bytes"), std::string::npos) << error.message;
  }
}

// The pool grows once: a second call of the same shape takes what the first one left.
TEST_P(BackwardValues, ASteadyStateAllocatesNothing) {
  const Runtime fresh(2, GetParam());
  Case c = shaped_case({"", 1, 200, 200, 4, 2, 64, 64, true}, GA_BF16, {.lse = true});
  c.combination = GA_ADD;
  add_gradients(c);
  Instance instance(c);
  ASSERT_EQ(run_backward(fresh.handle(), instance), "");
  const int64_t held = fresh.query().workspace_bytes;
  for (int n = 0; n < 5; ++n) ASSERT_EQ(run_backward(fresh.handle(), instance), "");
  EXPECT_EQ(fresh.query().workspace_bytes, held);
}

GA_FOR_EACH_ISA(BackwardValues);

}  // namespace
}  // namespace gatest
