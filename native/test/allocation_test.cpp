// Every allocation of every export fails once, and once with all that come after it: the call says so and writes nothing, no
// byte is lost, and the library goes on.

#include <gtest/gtest.h>

#include <memory>
#include <numeric>

#include "backward_case.h"
#include "failing_allocator.h"
#include "partials.h"
#include "refusal.h"
#include "shapes.h"

namespace gatest {
namespace {

// Small calls of every path: what they allocate does not depend on how long they take, which under an emulator is long.
const Shape kSmall[] = {
    {"prefill", 2, 70, 70, 4, 2, 64, 64, true},
    {"decode", 2, 1, 1300, 4, 2, 64, 64, true},
    {"odd", 1, 33, 127, 3, 1, 40, 72, false},
};

TEST(AllocationFailure, OfExportsThatNeedNoMemory) {
  const Runtime runtime(2);
  const Case c = shaped_case(kSmall[0], GA_F32);
  Instance whole(c);
  Partials partials(whole, {0, 20, c.seq_k});
  ASSERT_EQ(partials.run(runtime.handle()), "");
  const auto nothing = [](const std::function<void()> &call) {
    for (const Fails fails : kBoth) EXPECT_EQ(for_each_allocation(fails, [&](const Failure &) { call(); }), 0);
  };
  nothing([] {
    ga_abi_version();
    ga_abi_table();
    ga_build_info();
    ga_status_name(GA_OK);
    ga_isa_name(GA_ISA_SCALAR);
    for (ga_isa isa = 0; isa < GA_ISA_COUNT; isa++) ga_isa_unavailable(isa);
  });
  nothing([&] { runtime.query(); });
  nothing([&] {
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    EXPECT_EQ(ga_attention_plan_for(runtime.handle(), &whole.params, &plan, nullptr), GA_OK);
  });
  nothing([&] {
    Case backward_case = shaped_case(kSmall[0], GA_F32);
    add_gradients(backward_case);
    const Instance backward(backward_case);
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    EXPECT_EQ(ga_attention_backward_plan_for(runtime.handle(), &backward.params, &backward.backward, &plan, nullptr),
              GA_OK);
  });
  nothing([&] {
    ga_error error{};
    EXPECT_EQ(ga_attention_merge(runtime.handle(), &partials.params, &error), GA_OK) << error.message;
    EXPECT_EQ(ga_attention_merge_holding(runtime.handle(), &partials.params, &error, nullptr, nullptr, nullptr, nullptr,
                                         nullptr, nullptr, nullptr),
              GA_OK);
  });
  nothing([&] { EXPECT_EQ(ga_runtime_close(0, nullptr), GA_INVALID_HANDLE); });
  nothing([&] {  // a refused call
    ga_attention_params bad = whole.params;
    bad.head_dim = 7;
    EXPECT_EQ(ga_attention_forward(runtime.handle(), &bad, nullptr), GA_INVALID_ARGUMENT);
  });
}

// Without memory there is no runtime; without threads it has fewer of them, and computes the same bits.
TEST(AllocationFailure, OfRuntimes) {
  const Case c = shaped_case(kSmall[0], GA_BF16);
  const Runtime whole(4);
  const Instance expected(c);
  ASSERT_EQ(ga_attention_forward(whole.handle(), &expected.params, nullptr), GA_OK);
  for (const int32_t threads : {1, 2, 4}) {
    for (const Fails fails : kBoth) {
      const Held before = held_by_the_library();
      const int64_t failed = for_each_allocation(fails, [&](const Failure &failure) {
        const ga_runtime_options options = cpu_options(threads);
        ga_runtime runtime = 77;
        ga_error error{};
        const ga_status status = ga_runtime_create(&options, &runtime, &error);
        if (failure.fired() && !failure.of_a_thread()) {
          EXPECT_EQ(status, GA_OUT_OF_MEMORY);
          EXPECT_EQ(error.status, GA_OUT_OF_MEMORY);
          EXPECT_TRUE(holds_word(error.message, "memory")) << error.message;
          EXPECT_EQ(runtime, 77U) << "written although refused";
          EXPECT_EQ(held_by_the_library(), before);
          return;
        }
        ASSERT_EQ(status, GA_OK) << error.message;
        ga_runtime_info info{};
        info.struct_size = sizeof info;
        ASSERT_EQ(ga_runtime_query(runtime, &info, nullptr), GA_OK);
        EXPECT_EQ(info.threads < threads, failure.fired());
        EXPECT_GE(info.threads, 1);
        EXPECT_EQ(ga_runtime_close(runtime, &error), GA_OK) << error.message;
        EXPECT_EQ(held_by_the_library(), before);
      });
      EXPECT_EQ(failed, threads == 1 ? 1 : 1 + 1 + threads - 1) << "its own memory, the table of helpers, each of them";
    }
  }
}

// A runtime that is left with any number of threads computes the same bits, and ends without a trace.
TEST(AllocationFailure, LeavesRuntimesWithFewerThreads) {
  const Case c = shaped_case(kSmall[0], GA_F32);
  const Runtime whole(4);
  const Instance expected(c);
  ASSERT_EQ(ga_attention_forward(whole.handle(), &expected.params, nullptr), GA_OK);
  const Held before = held_by_the_library();
  for (int64_t n = 3; n <= 5; n++) {
    ga_runtime runtime = 0;
    {
      const Failure failure(n, Fails::kOne);
      const ga_runtime_options options = cpu_options(4);
      ASSERT_EQ(ga_runtime_create(&options, &runtime, nullptr), GA_OK);
      ASSERT_TRUE(failure.of_a_thread());
    }
    ga_runtime_info info{};
    info.struct_size = sizeof info;
    ASSERT_EQ(ga_runtime_query(runtime, &info, nullptr), GA_OK);
    EXPECT_EQ(info.threads, n - 2);
    const Instance instance(c);
    ASSERT_EQ(ga_attention_forward(runtime, &instance.params, nullptr), GA_OK);
    EXPECT_TRUE(instance.out_bits() == expected.out_bits() && instance.lse_bits() == expected.lse_bits());
    EXPECT_EQ(ga_runtime_close(runtime, nullptr), GA_OK);
    EXPECT_EQ(held_by_the_library(), before);
  }
}

// The call of one instance, or the same on pages.
struct Call {
  Instance instance;
  std::vector<int32_t> table;

  Call(const Case &c, bool paged) : instance(c) {
    ga_attention_params &params = instance.params;
    if (!paged) return;
    constexpr int32_t kPage = 1;  // dense keys are pages of one, if all of a sequence have one stride
    params.page_size = kPage;
    params.pages = c.batch * c.seq_k;
    table.resize(static_cast<size_t>(params.pages));
    std::iota(table.begin(), table.end(), 0);
    params.block_table.data = table.data();
    params.block_table.bytes = static_cast<int64_t>(table.size() * sizeof(int32_t));
    params.block_table.stride[0] = c.seq_k;
    params.block_table.stride[1] = 1;
    params.block_table.dtype = GA_I32;
    for (ga_tensor *keys : {&params.k, &params.v}) keys->stride[0] = keys->stride[1];
  }
};

// Each export of the call with another type.
ga_status forward_of_type(ga_dtype dtype, ga_runtime runtime, const ga_attention_params &params, ga_error &error) {
  switch (dtype) {
    case GA_F16:
      return ga_attention_forward_holding(runtime, &params, &error, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                          nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                          nullptr);
    case GA_BF16:
      return ga_attention_forward_holding_few(runtime, &params, &error, nullptr, nullptr, nullptr, nullptr, nullptr);
    default: return ga_attention_forward(runtime, &params, &error);
  }
}

void expect_forward_survives(const Case &c, bool paged, ga_dtype dtype, Fails fails) {
  const Runtime other(2);
  const Call expected(c, paged);
  ga_error error{};
  ASSERT_EQ(ga_attention_forward(other.handle(), &expected.instance.params, &error), GA_OK) << error.message;
  const Held before = held_by_the_library();
  {
    const Runtime runtime(2);
    const Held fresh = held_by_the_library();
    // First on a runtime without scratch memory, then on a warm one.
    for (const bool warm : {false, true}) {
      bool done = false;
      const int64_t failed = for_each_allocation(fails, [&](const Failure &failure) {
        const Call call(c, paged);
        const ga_attention_params &params = call.instance.params;
        ga_error refused{};
        const ga_status status = forward_of_type(dtype, runtime.handle(), params, refused);
        if (failure.fired()) {
          EXPECT_EQ(status, GA_OUT_OF_MEMORY);
          EXPECT_TRUE(holds_word(refused.message, "memory")) << refused.message;
          EXPECT_EQ(call.instance.untouched(), "");
          EXPECT_EQ(held_by_the_library(), fresh);
          EXPECT_EQ(runtime.query().workspace_bytes, 0);
          return;
        }
        done = true;
        ASSERT_EQ(status, GA_OK) << refused.message;
        EXPECT_TRUE(call.instance.out_bits() == expected.instance.out_bits()) << describe(c);
        EXPECT_TRUE(call.instance.lse_bits() == expected.instance.lse_bits()) << describe(c);
      });
      EXPECT_TRUE(done);
      EXPECT_EQ(failed, warm ? 0 : 1) << describe(c);  // the scratch memory of a call is one block, and stays
    }
  }
  EXPECT_EQ(held_by_the_library(), before) << "bytes were lost: " << describe(c);
}

TEST(AllocationFailure, OfForwardCalls) {
  for (const Shape &shape : kSmall)
    for (const ga_dtype dtype : kFloatTypes)
      for (const Fails fails : kBoth)
        for (const bool paged : {false, true})
          ASSERT_NO_FATAL_FAILURE(expect_forward_survives(shaped_case(shape, dtype), paged, dtype, fails));
}

// The bytes of a dense gradient.
std::vector<std::byte> gradient_bits(const Instance &instance, const View &view) {
  const std::byte *data = instance.address(view, 0, 0, 0, 0);
  return {data, data + span(view) * (view.dtype == GA_F32 ? 4 : 2)};
}

// A call of each export on a runtime that has no scratch memory, then on the warm one.
void expect_backward_survives(const Case &c, bool holding, Fails fails) {
  const Runtime other(2);
  Instance expected(c);
  ASSERT_EQ(run_backward(other.handle(), expected), "") << describe(c);
  const Held before = held_by_the_library();
  {
    const Runtime runtime(2);
    const Held fresh = held_by_the_library();
    for (const bool warm : {false, true}) {
      const int64_t failed = for_each_allocation(fails, [&](const Failure &failure) {
        Instance instance(c);
        ASSERT_EQ(ga_attention_forward(other.handle(), &instance.params, nullptr), GA_OK);
        instance.take_snapshot();
        ga_error refused{};
        const ga_attention_params &forward = instance.params;
        const ga_attention_backward_params &backward = instance.backward;
        const ga_status status =
            holding ? ga_attention_backward_holding(runtime.handle(), &forward, &backward, &refused, nullptr, nullptr,
                                                    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                                    nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                                    nullptr, nullptr, nullptr, nullptr, nullptr)
                    : ga_attention_backward(runtime.handle(), &forward, &backward, &refused);
        if (failure.fired()) {
          EXPECT_EQ(status, GA_OUT_OF_MEMORY);
          EXPECT_TRUE(holds_word(refused.message, "memory")) << refused.message;
          EXPECT_EQ(instance.untouched(), "");
          EXPECT_EQ(held_by_the_library(), fresh);
          return;
        }
        ASSERT_EQ(status, GA_OK) << refused.message;
        for (const View *view : {&c.dq, &c.dk, &c.dv, &c.dgate, &c.dsink})
          EXPECT_TRUE(gradient_bits(instance, *view) == gradient_bits(expected, *view)) << describe(c);
      });
      EXPECT_EQ(failed, warm ? 0 : 1) << describe(c);
    }
  }
  EXPECT_EQ(held_by_the_library(), before) << "bytes were lost: " << describe(c);
}

// The forward call inside of the injection runs on another, warm runtime, which allocates nothing.
TEST(AllocationFailure, OfBackwardCalls) {
  for (const Shape &shape : kSmall)
    for (const ga_dtype dtype : kFloatTypes)
      for (const Fails fails : kBoth) {
        Case c = shaped_case(shape, dtype, {.gate = true, .sink = true, .lse = true});
        add_gradients(c);
        ASSERT_NO_FATAL_FAILURE(expect_backward_survives(c, dtype == GA_F16, fails));
      }
}

// Scratch memory that must grow: the smaller one is gone when there is no larger one, and the runtime asks again.
TEST(AllocationFailure, OfGrowingScratchMemory) {
  const Case small = good_call(), large = shaped_case(kSmall[0], GA_F32);
  const Runtime other(2);
  const Instance expected(large), expected_small(small);
  ASSERT_EQ(ga_attention_forward(other.handle(), &expected.params, nullptr), GA_OK);
  ASSERT_EQ(ga_attention_forward(other.handle(), &expected_small.params, nullptr), GA_OK);
  const Held before = held_by_the_library();
  for (const Fails fails : kBoth) {
    const Runtime runtime(2);
    const Held fresh = held_by_the_library();
    const Instance first(small);
    ASSERT_EQ(ga_attention_forward(runtime.handle(), &first.params, nullptr), GA_OK);
    ASSERT_GT(runtime.query().workspace_bytes, 0);
    {
      const Failure failure(1, fails);
      const Instance instance(large);
      EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OUT_OF_MEMORY);
      EXPECT_TRUE(failure.fired());
      EXPECT_EQ(instance.untouched(), "");
    }
    EXPECT_EQ(runtime.query().workspace_bytes, 0);
    EXPECT_EQ(held_by_the_library(), fresh);
    const Instance again(small), instance(large);
    ASSERT_EQ(ga_attention_forward(runtime.handle(), &again.params, nullptr), GA_OK);
    EXPECT_TRUE(again.out_bits() == expected_small.out_bits());
    ASSERT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
    EXPECT_TRUE(instance.out_bits() == expected.out_bits());
  }
  EXPECT_EQ(held_by_the_library(), before);
}

// Memory that the caller lends is all that a call needs.
TEST(AllocationFailure, OfCallsWithLentMemory) {
  const Runtime runtime(2);
  for (const Shape &shape : kSmall) {
    Instance instance(shaped_case(shape, GA_BF16));
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    ASSERT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, nullptr), GA_OK);
    const Block workspace((plan.workspace_bytes + 63) / 64 * 64, Placement::kGuardAfter);
    instance.params.workspace = workspace.data();
    instance.params.workspace_bytes = plan.workspace_bytes;
    for (const Fails fails : kBoth)
      EXPECT_EQ(for_each_allocation(fails,
                                    [&](const Failure &) {
                                      EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
                                    }),
                0);
  }
}

}  // namespace
}  // namespace gatest
