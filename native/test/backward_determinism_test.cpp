// The bits of gradients depend on nothing but the sequence: not on threads, neighbors, or which gradients are wanted.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "backward_case.h"
#include "environment.h"
#include "isa_test.h"
#include "random.h"
#include "shapes.h"

namespace gatest {
namespace {

using Bits = std::vector<std::vector<std::byte>>;

Bits bits_of(const Instance &instance) {
  Bits bits;
  for (const View *view : gradients(instance.description())) bits.push_back(instance.bits(*view));
  return bits;
}

Bits bits_of_run(ga_runtime runtime, const Case &c) {
  announce_case(describe(c));
  Instance instance(c);
  EXPECT_EQ(run_backward(runtime, instance), "") << describe(c);
  return bits_of(instance);
}

class BackwardDeterminism : public IsaTest {
 protected:
  BackwardDeterminism() {
    for (const int32_t threads : {1, 2, 3, 5, 8}) runtimes_.push_back(std::make_unique<Runtime>(threads, GetParam()));
  }

  void expect_same_bits_on_all_runtimes(const Case &c) {
    const Bits expected = bits_of_run(runtimes_[0]->handle(), c);
    for (const auto &runtime : runtimes_)  // the first one once more
      EXPECT_TRUE(bits_of_run(runtime->handle(), c) == expected)
          << runtime->query().threads << " threads: " << describe(c);
  }

  std::vector<std::unique_ptr<Runtime>> runtimes_;
};

TEST_P(BackwardDeterminism, AnyNumberOfThreadsGivesTheSameBits) {
  const std::vector<Shape> small = {
      {"one head, many key blocks", 1, 120, 1100, 1, 1, 64, 64, true},
      {"one group", 1, 60, 300, 4, 1, 40, 72, false},
      {"heads and batch", 2, 33, 300, 4, 2, 64, 64, true},
      {"few queries", 2, 5, 600, 2, 2, 128, 96, true},
  };
  const std::vector<Shape> all = {
      {"one head, many key blocks", 1, 700, 1100, 1, 1, 64, 64, true},
      {"one group", 1, 300, 600, 4, 1, 40, 72, false},
      {"heads and batch", 2, 127, 300, 4, 2, 64, 64, true},
      {"few queries", 2, 5, 1021, 2, 2, 128, 96, true},
  };
  for (const Shape &shape : small_shapes() ? small : all)
    for (const ga_dtype dtype : kFloatTypes) {
      Case c = shaped_case(shape, dtype, {.sink = true, .key_lengths = shape.batch > 1, .lse = true});
      add_gradients(c);
      expect_same_bits_on_all_runtimes(c);
    }
}

int64_t tasks_of_plan(ga_runtime runtime, const Case &c) {
  const Instance instance(c);
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  EXPECT_EQ(ga_attention_backward_plan_for(runtime, &instance.params, &instance.backward, &plan, &error), GA_OK)
      << error.message;
  return plan.tasks;
}

// Few threads take several blocks of keys together, many threads one each.
TEST_P(BackwardDeterminism, TasksOfSeveralKeyBlocksGiveTheSameBits) {
  for (const ga_dtype dtype : kFloatTypes)
    for (const int64_t window : {-1, 260}) {
      Case c = shaped_case({"", 1, 20, 560, 8, 8, 16, 16, true}, dtype, {.lse = true});
      c.window_left = window;
      add_gradients(c);
      EXPECT_LT(tasks_of_plan(runtimes_.front()->handle(), c), tasks_of_plan(runtimes_.back()->handle(), c));
      EXPECT_EQ(run_backward_and_check(runtimes_.front()->handle(), c, Placement::kRedZones, nullptr), "");
      expect_same_bits_on_all_runtimes(c);
    }
}

TEST_P(BackwardDeterminism, AnyNumberOfThreadsGivesTheSameBitsForRandomCases) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 15;
  const int64_t budget = std::min<int64_t>(setting("GA_CASE_BUDGET", 500'000), 500'000);
  for (int64_t n = 0; n < cases; ++n)
    expect_same_bits_on_all_runtimes(random_backward_case(case_seed(177, n), {.budget = budget}));
}

TEST_P(BackwardDeterminism, NeighborsInTheBatchDoNotChangeASequence) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Shape shape = {"", 3, 150, 330, 4, 2, 64, 40, true};
    Case c = shaped_case(shape, dtype, {.key_lengths = true, .lse = true});
    add_gradients(c);
    Instance whole(c);
    ASSERT_EQ(run_backward(runtimes_[1]->handle(), whole), "");
    const Bits together = bits_of(whole);
    for (int64_t b = 0; b < 3; ++b) {
      Instance one(c);
      ASSERT_EQ(run_backward(runtimes_[2]->handle(), one), "");  // for out and lse
      const auto from = [&](ga_tensor &t) {
        if (t.data == nullptr) return;
        const int64_t bytes = b * t.stride[0] * (t.dtype == GA_F32 || t.dtype == GA_I32 ? 4 : 2);
        t.data = static_cast<std::byte *>(t.data) + bytes;
        t.bytes -= bytes;
      };
      ga_attention_params p = one.params;
      ga_attention_backward_params g = one.backward;
      p.batch = 1;
      for (ga_tensor *t :
           {&p.q, &p.k, &p.v, &p.gate, &p.key_lengths, &p.out, &p.lse, &g.dout, &g.dq, &g.dk, &g.dv, &g.dgate})
        from(*t);
      ga_error error{};
      ASSERT_EQ(ga_attention_backward(runtimes_[3]->handle(), &p, &g, &error), GA_OK) << error.message;
      EXPECT_TRUE(bits_of(one) == together) << "sequence " << b << " of " << describe(c);
    }
  }
}

TEST_P(BackwardDeterminism, WhatElseIsWantedDoesNotChangeAGradient) {
  Case c = shaped_case({"", 2, 70, 300, 4, 2, 64, 64, true}, GA_BF16, {.sink = true, .lse = true});
  add_gradients(c);
  const Bits all = bits_of_run(runtimes_[1]->handle(), c);
  for (size_t n = 0; n < all.size(); ++n) {
    Case one = c;
    View *views[] = {&one.dq, &one.dk, &one.dv, &one.dgate, &one.dnorm_weight, &one.dsink};
    for (size_t other = 0; other < all.size(); ++other)
      if (other != n) *views[other] = View{};
    EXPECT_TRUE(bits_of_run(runtimes_[1]->handle(), one)[n] == all[n]) << "gradient " << n;
  }
}

GA_FOR_EACH_ISA(BackwardDeterminism);

}  // namespace
}  // namespace gatest
