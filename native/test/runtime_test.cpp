// Runtimes: options, handles that were closed or never were, lent workspaces, plans, and the strings of the ABI.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <set>
#include <thread>

#include "refusal.h"
#include "shapes.h"

namespace gatest {
namespace {

void expect_options_refused(ga_runtime_options options, const std::vector<std::string> &words) {
  ga_error error{};
  ga_runtime runtime = 77;
  EXPECT_EQ(ga_runtime_create(&options, &runtime, &error), GA_INVALID_ARGUMENT);
  EXPECT_EQ(runtime, 77U) << "written although refused";
  for (const std::string &word : words) {
    EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
  }
}

TEST(RuntimeOptions, OutsideTheirRangeAreRefused) {
  expect_options_refused(cpu_options(0), {"threads", "0", "1024"});
  expect_options_refused(cpu_options(-3), {"threads", "-3"});
  expect_options_refused(cpu_options(1025), {"threads", "1025", "1024"});
  expect_options_refused(cpu_options(1, -1), {"max_isa", "-1"});
  expect_options_refused(cpu_options(1, GA_ISA_COUNT + 1), {"max_isa", "7", "6"});
  ga_runtime_options options = cpu_options(1);
  options.struct_size -= 1;
  expect_options_refused(options, {"struct_size", "31", "32"});
  options.struct_size += 9;
  expect_options_refused(options, {"struct_size", "40", "32"});
  options = cpu_options(1);
  options.device = 2;
  expect_options_refused(options, {"device", "2"});
  options.device = -1;
  expect_options_refused(options, {"device", "-1"});
  options = cpu_options(1);
  options.device_index = 1;
  expect_options_refused(options, {"device_index", "1"});
  options.device = GA_DEVICE_CUDA;
  options.device_index = -1;
  expect_options_refused(options, {"device_index", "-1"});
}

TEST(RuntimeOptions, MayNotBeNull) {
  ga_error error{};
  ga_runtime runtime = 0;
  const ga_runtime_options options = cpu_options(1);
  EXPECT_EQ(ga_runtime_create(nullptr, &runtime, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "options")) << error.message;
  EXPECT_EQ(ga_runtime_create(&options, nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "runtime")) << error.message;
}

TEST(RuntimeOptions, AreWhatQueryReports) {
  for (const int32_t threads : {1, 2, 5}) {
    for (const ga_isa isa : available_isas()) {
      const ga_runtime_info info = Runtime(threads, isa).query();
      EXPECT_EQ(info.threads, threads);
      EXPECT_EQ(info.isa, isa);
      EXPECT_GE(info.workspace_bytes, 0);
    }
  }
  EXPECT_EQ(Runtime(1).query().isa, best_isa());
}

TEST(RuntimeOptions, EnvironmentCapsTheInstructionSet) {
  for (const ga_isa isa : available_isas()) {
    setenv("GA_MAX_ISA", ga_isa_name(isa), 1);
    EXPECT_EQ(Runtime(1).query().isa, isa);
  }
  setenv("GA_MAX_ISA", "avx9", 1);
  const ga_runtime_options options = cpu_options(1);
  ga_error error{};
  ga_runtime runtime = 0;
  EXPECT_EQ(ga_runtime_create(&options, &runtime, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "GA_MAX_ISA") && holds_word(error.message, "avx9")) << error.message;
  unsetenv("GA_MAX_ISA");
  EXPECT_EQ(Runtime(1).query().isa, best_isa());
}

TEST(RuntimeQuery, RefusesBadArguments) {
  const Runtime runtime(1);
  ga_error error{};
  EXPECT_EQ(ga_runtime_query(runtime.handle(), nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "info")) << error.message;
  ga_runtime_info info{};
  info.struct_size = sizeof info + 4;
  EXPECT_EQ(ga_runtime_query(runtime.handle(), &info, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "struct_size")) << error.message;
}

// Every function on a handle that is not a runtime's.
void expect_invalid(ga_runtime handle) {
  const Instance instance(good_call());
  ga_error error{};
  ga_runtime_info info{};
  info.struct_size = sizeof info;
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  EXPECT_EQ(ga_attention_forward(handle, &instance.params, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(error.status, GA_INVALID_HANDLE);
  EXPECT_TRUE(holds_word(error.message, "runtime")) << error.message;
  EXPECT_EQ(instance.untouched(), "");
  EXPECT_EQ(ga_attention_forward(handle, &instance.params, nullptr), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_runtime_query(handle, &info, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_attention_plan_for(handle, &instance.params, &plan, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_runtime_close(handle, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_runtime_close(handle, nullptr), GA_INVALID_HANDLE);
}

ga_runtime opened() {
  const ga_runtime_options options = cpu_options(2);
  ga_runtime runtime = 0;
  EXPECT_EQ(ga_runtime_create(&options, &runtime, nullptr), GA_OK);
  return runtime;
}

TEST(RuntimeHandle, ThatNeverWasIsRefused) {
  for (const ga_runtime handle :
       {ga_runtime{0}, ga_runtime{1}, ga_runtime{0xdeadbeef}, ~ga_runtime{0}, ga_runtime{1} << 32}) {
    expect_invalid(handle);
  }
  const Runtime runtime(1);
  expect_invalid(runtime.handle() ^ (ga_runtime{1} << 40));
  expect_invalid(reinterpret_cast<ga_runtime>(&runtime));
}

TEST(RuntimeHandle, ThatWasClosedIsRefused) {
  const ga_runtime closed = opened();
  EXPECT_NE(closed, 0U);
  EXPECT_EQ(ga_runtime_close(closed, nullptr), GA_OK);
  expect_invalid(closed);
  // Even when its place was taken by others.
  std::set<ga_runtime> later;
  for (int n = 0; n < 200; ++n) {
    const ga_runtime runtime = opened();
    EXPECT_TRUE(runtime != closed && later.insert(runtime).second) << "a handle came twice";
    EXPECT_EQ(ga_runtime_close(runtime, nullptr), GA_OK);
  }
  const Runtime open(1);
  expect_invalid(closed);
}

TEST(RuntimeHandle, ClosesOnceThoughManyThreadsTry) {
  for (int round = 0; round < 50; ++round) {
    const ga_runtime runtime = opened();
    std::atomic<int> closed{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
      threads.emplace_back([&] { closed += ga_runtime_close(runtime, nullptr) == GA_OK ? 1 : 0; });
    }
    for (std::thread &thread : threads) thread.join();
    EXPECT_EQ(closed, 1);
  }
}

// Calls that run when the runtime is closed end well, and their results are right; later ones are refused.
TEST(RuntimeHandle, CloseWaitsForCallsThatRun) {
  const Case c = shaped_case(shapes()[0], GA_F32);
  const Runtime other(2);
  const Instance expected(c);
  ASSERT_EQ(ga_attention_forward(other.handle(), &expected.params, nullptr), GA_OK);
  for (int round = 0; round < 10; ++round) {
    const ga_runtime runtime = opened();
    std::atomic<int> done{0};
    std::vector<std::thread> threads;
    for (int n = 0; n < 3; ++n) {
      threads.emplace_back([&] {
        ga_status status = GA_OK;
        while (status == GA_OK) {
          const Instance instance(c);
          status = ga_attention_forward(runtime, &instance.params, nullptr);
          if (status == GA_OK) {
            EXPECT_EQ(instance.out_bits(), expected.out_bits());
            ++done;
          } else {
            EXPECT_EQ(status, GA_INVALID_HANDLE);
            EXPECT_EQ(instance.untouched(), "");
          }
        }
      });
    }
    while (done < round) std::this_thread::sleep_for(std::chrono::microseconds(200));
    EXPECT_EQ(ga_runtime_close(runtime, nullptr), GA_OK);
    for (std::thread &thread : threads) thread.join();
  }
}

TEST(Workspace, LentByTheCallerGivesTheSameBits) {
  const Runtime runtime(3);
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype);
      const Instance pooled(c);
      Instance lent(c);
      ga_attention_plan plan{};
      plan.struct_size = sizeof plan;
      ga_error error{};
      ASSERT_EQ(ga_attention_plan_for(runtime.handle(), &lent.params, &plan, &error), GA_OK) << error.message;
      // Exactly as large as said, behind it an inaccessible page; dirty at first.
      const int64_t bytes = (plan.workspace_bytes + 63) / 64 * 64;
      const Block workspace(bytes, Placement::kGuardAfter);
      lent.params.workspace = workspace.data();
      lent.params.workspace_bytes = bytes;
      ASSERT_EQ(ga_attention_forward(runtime.handle(), &lent.params, &error), GA_OK) << error.message;
      ASSERT_EQ(ga_attention_forward(runtime.handle(), &pooled.params, &error), GA_OK) << error.message;
      EXPECT_TRUE(lent.out_bits() == pooled.out_bits() && lent.lse_bits() == pooled.lse_bits()) << describe(c);
    }
  }
}

TEST(Workspace, OfTheRuntimeStaysAsItIsInSteadyState) {
  const Runtime runtime(2);
  const Instance instance(shaped_case(shapes()[0], GA_BF16));
  ASSERT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
  const int64_t first = runtime.query().workspace_bytes;
  EXPECT_GT(first, 0);
  for (int n = 0; n < 5; ++n) ASSERT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
  EXPECT_EQ(runtime.query().workspace_bytes, first);
}

TEST(Plan, CountsTheWork) {
  const Runtime runtime(2);
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype);
      const Instance instance(c);
      ga_attention_plan plan{};
      plan.struct_size = sizeof plan;
      ga_error error{};
      ASSERT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, &error), GA_OK) << error.message;
      int64_t pairs = 0;
      for (int64_t i = 0; i < c.seq_q; ++i) {
        const KeyRange keys = visible_keys(instance.params, c.seq_k, i);
        pairs += std::max<int64_t>(0, keys.end - keys.first) * c.batch * c.heads_q;
      }
      EXPECT_EQ(plan.flop, 2 * (c.head_dim + c.head_dim_v) * pairs) << describe(c);
      int64_t bytes = 0;
      for (const int64_t block : c.block_bytes) bytes += block;
      EXPECT_EQ(plan.bytes, bytes) << describe(c);
      EXPECT_EQ(plan.threads, 2);
      EXPECT_EQ(plan.isa, best_isa());
      EXPECT_GT(plan.tasks, 0);
      EXPECT_GT(plan.key_block, 0);
      EXPECT_GT(plan.query_block, 0);
      ASSERT_LT(strnlen(plan.kernel, sizeof plan.kernel), sizeof plan.kernel);
      EXPECT_NE(std::string(plan.kernel).find(ga_isa_name(plan.isa)), std::string::npos) << plan.kernel;
      EXPECT_EQ(instance.untouched(), "");
    }
  }
}

TEST(Holding, IsTheSameCall) {
  const Runtime runtime(2);
  const Case c = shaped_case(shapes()[1], GA_F16);
  const Instance plain(c);
  const Instance holding(c);
  ASSERT_EQ(ga_attention_forward(runtime.handle(), &plain.params, nullptr), GA_OK);
  ASSERT_EQ(ga_attention_forward_holding(runtime.handle(), &holding.params, nullptr, &c, nullptr, nullptr, nullptr,
                                         nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                         nullptr, nullptr, &c),
            GA_OK);
  EXPECT_TRUE(plain.out_bits() == holding.out_bits());
  const Instance holding_few(c);
  ASSERT_EQ(
      ga_attention_forward_holding_few(runtime.handle(), &holding_few.params, nullptr, &c, nullptr, nullptr, nullptr, &c),
      GA_OK);
  EXPECT_TRUE(plain.out_bits() == holding_few.out_bits());
}

TEST(Strings, NameEveryValue) {
  EXPECT_EQ(ga_abi_version(), GA_ABI_VERSION);
  std::set<std::string> names;
  for (ga_isa isa = 0; isa < GA_ISA_COUNT; ++isa) names.insert(ga_isa_name(isa));
  EXPECT_EQ(names, (std::set<std::string>{"scalar", "neon", "avx2", "avx512", "avx512_bf16", "amx_bf16"}));
  std::set<std::string> statuses;
  for (ga_status status = GA_OK; status <= GA_INTERNAL; ++status) statuses.insert(ga_status_name(status));
  EXPECT_EQ(statuses.size(), 6U);
  for (const int32_t unknown : {-1, 99, INT32_MAX, INT32_MIN}) {
    EXPECT_NE(ga_status_name(unknown), nullptr);
    EXPECT_NE(ga_isa_name(unknown), nullptr);
    EXPECT_NE(ga_isa_unavailable(unknown), nullptr);
  }
  EXPECT_EQ(ga_isa_unavailable(GA_ISA_SCALAR), nullptr);
  EXPECT_GT(std::strlen(ga_build_info()), 0U);
  EXPECT_EQ(std::string(ga_build_info()).find('\n'), std::string::npos);
}

// The layouts that this compiler sees are those of the table.
TEST(Strings, TableListsStructsAndFunctions) {
  const std::string table = ga_abi_table();
  for (const char *name :
       {"ga_tensor", "ga_error", "ga_runtime_options", "ga_runtime_info", "ga_attention_params", "ga_attention_plan",
        "ga_abi_version", "ga_abi_table", "ga_build_info", "ga_status_name", "ga_isa_name", "ga_isa_unavailable",
        "ga_runtime_create", "ga_runtime_close", "ga_runtime_query", "ga_attention_plan_for", "ga_attention_forward",
        "ga_attention_forward_holding", "ga_attention_forward_holding_few"}) {
    EXPECT_TRUE(holds_word(table, name)) << name << " is missing in\n" << table;
  }
  for (const size_t size : {sizeof(ga_attention_params), sizeof(ga_tensor), offsetof(ga_attention_params, lse)}) {
    EXPECT_TRUE(holds_word(table, std::to_string(size))) << size << " is missing in\n" << table;
  }
}

}  // namespace
}  // namespace gatest
