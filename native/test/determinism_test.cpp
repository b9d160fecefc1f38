// The bits of a result depend on nothing but the sequence itself: not on threads, neighbors in the batch, or what ran before.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

struct Bits {
  std::vector<std::byte> out;
  std::vector<std::byte> lse;
  bool operator==(const Bits &) const = default;
};

Bits bits_of_run(ga_runtime runtime, const Case &c) {
  announce_case(describe(c));
  const Instance instance(c);
  ga_error error{};
  EXPECT_EQ(ga_attention_forward(runtime, &instance.params, &error), GA_OK) << error.message;
  return {instance.out_bits(), instance.lse_bits()};
}

class Determinism : public IsaTest {
 protected:
  Determinism() {
    for (const int32_t threads : {1, 2, 3, 5, 8}) runtimes_.push_back(std::make_unique<Runtime>(threads, GetParam()));
  }

  void expect_same_bits_on_all_runtimes(const Case &c) {
    const Bits expected = bits_of_run(runtimes_[0]->handle(), c);
    for (const auto &runtime : runtimes_) {
      EXPECT_TRUE(bits_of_run(runtime->handle(), c) == expected)
          << runtime->query().threads << " threads: " << describe(c);
    }
  }

  std::vector<std::unique_ptr<Runtime>> runtimes_;
};

TEST_P(Determinism, AnyNumberOfThreadsGivesTheSameBits) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      SCOPED_TRACE(shape.name);
      expect_same_bits_on_all_runtimes(shaped_case(shape, dtype, {.key_lengths = shape.batch > 1}));
    }
  }
}

TEST_P(Determinism, AnyNumberOfThreadsGivesTheSameBitsForRandomCases) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 15;
  const int64_t budget = std::min<int64_t>(setting("GA_CASE_BUDGET", 1'000'000), 1'000'000);
  for (int64_t n = 0; n < cases; ++n) expect_same_bits_on_all_runtimes(random_case(case_seed(77, n), {.budget = budget}));
}

int64_t tasks_of_plan(ga_runtime runtime, const Case &c) {
  const Instance instance(c);
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  EXPECT_EQ(ga_attention_plan_for(runtime, &instance.params, &plan, &error), GA_OK) << error.message;
  return plan.tasks;
}

TEST_P(Determinism, TasksOfFewerRowsGiveTheSameBits) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Case c = shaped_case({"one head", 1, 300, 300, 2, 1, 64, 64, true}, dtype);
    EXPECT_LT(tasks_of_plan(runtimes_.front()->handle(), c), tasks_of_plan(runtimes_.back()->handle(), c));
    expect_same_bits_on_all_runtimes(c);
  }
}

ga_tensor from_batch(const ga_tensor &tensor, int64_t batch) {
  ga_tensor part = tensor;
  if (tensor.data == nullptr) return part;
  const int64_t bytes = batch * tensor.stride[0] * (tensor.dtype == GA_F32 || tensor.dtype == GA_I32 ? 4 : 2);
  part.data = static_cast<std::byte *>(tensor.data) + bytes;
  part.bytes -= bytes;
  return part;
}

// The call on sequences [first, first + count) alone.
ga_attention_params part_of_batch(const ga_attention_params &whole, int64_t first, int64_t count) {
  ga_attention_params part = whole;
  part.batch = count;
  for (ga_tensor *tensor : {&part.q, &part.k, &part.v, &part.gate, &part.key_lengths, &part.out, &part.lse}) {
    *tensor = from_batch(*tensor, first);
  }
  return part;
}

TEST_P(Determinism, NeighborsInTheBatchDoNotChangeASequence) {
  const Shape batches[] = {
      {"prefill", 4, 130, 130, 4, 2, 64, 64, true},
      {"decode", 4, 1, 2500, 4, 2, 64, 64, true},
      {"few queries, many keys", 4, 5, 1300, 2, 1, 96, 64, true},
      {"odd sizes", 4, 33, 127, 6, 2, 72, 40, false},
  };
  for (const Shape &shape : batches) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype, {.key_lengths = true});
      const Bits whole = bits_of_run(runtimes_[1]->handle(), c);
      const auto sequence = static_cast<std::ptrdiff_t>(whole.out.size() / 4);
      for (const int64_t count : {1, 2}) {
        for (int64_t first = 0; first + count <= shape.batch; ++first) {
          const Instance instance(c);
          const ga_attention_params part = part_of_batch(instance.params, first, count);
          ga_error error{};
          ASSERT_EQ(ga_attention_forward(runtimes_[2]->handle(), &part, &error), GA_OK) << error.message;
          const std::vector<std::byte> alone = instance.out_bits();
          const bool same = std::equal(whole.out.begin() + first * sequence,
                                       whole.out.begin() + (first + count) * sequence, alone.begin() + first * sequence);
          EXPECT_TRUE(same) << "sequences " << first << " to " << first + count - 1 << " of " << describe(c);
        }
      }
    }
  }
}

TEST_P(Determinism, CallsThatRanBeforeDoNotChangeAResult) {
  const Runtime fresh(3, GetParam());
  const Case c = shaped_case(shapes()[1], GA_BF16);
  const Bits first = bits_of_run(fresh.handle(), c);
  for (int64_t n = 0; n < 20; ++n) bits_of_run(fresh.handle(), random_case(case_seed(78, n), {.budget = 500'000}));
  EXPECT_TRUE(bits_of_run(fresh.handle(), c) == first);
}

GA_FOR_EACH_ISA(Determinism);

}  // namespace
}  // namespace gatest
