// Attention on a device through the C ABI: everything that a call says arrives at the device, and what it must not say is
// refused before.

#include <gtest/gtest.h>

#include <thread>

#include "device_runtime.h"
#include "environment.h"
#include "instance.h"
#include "partials.h"
#include "random.h"
#include "random_case.h"
#include "refusal.h"
#include "shapes.h"

namespace gatest {
namespace {

class Device : public testing::Test {
 protected:
  ~Device() override { fake<void()>("fake_cuda_repair")(); }
  int64_t calls() const { return fake<int64_t()>("fake_cuda_calls")(); }

  const DeviceRuntime runtime_;
  ga_error error_{};
};

TEST_F(Device, SaysWhatItIs) {
  ga_runtime_info info{};
  info.struct_size = sizeof info;
  ASSERT_EQ(ga_runtime_query(DeviceRuntime(1).handle(), &info, &error_), GA_OK) << error_.message;
  EXPECT_EQ(info.device, GA_DEVICE_CUDA);
  EXPECT_EQ(info.device_index, 1);
  EXPECT_EQ(info.compute_capability, 90);
  EXPECT_EQ(info.threads, 1);
  EXPECT_STREQ(info.device_name, "Fake device");
  const ga_runtime_info cpu = Runtime(2).query();
  EXPECT_EQ(cpu.device, GA_DEVICE_CPU);
  EXPECT_EQ(cpu.memory_bytes, 0);
  EXPECT_STREQ(cpu.device_name, "");
}

TEST_F(Device, ComputesRandomCases) {
  runtime_.trust_all_memory();
  const int64_t cases = setting("GA_RANDOM_CASES", 600), before = calls();
  for (int64_t n = 0; n < cases; ++n) {
    const Case c = random_case(case_seed(71, n), {.budget = 200'000});
    announce_case(describe(c));
    EXPECT_EQ(run_and_check(runtime_.handle(), c, Placement::kRedZones, nullptr), "");
  }
  EXPECT_GE(calls() - before, cases);
}

TEST_F(Device, GivesTheBitsOfTheSameKernelsOnTheCpu) {
  runtime_.trust_all_memory();
  const Runtime cpu(1, GA_ISA_SCALAR);
  Instance there(good_call()), here(good_call());
  ASSERT_EQ(ga_attention_forward(runtime_.handle(), &there.params, &error_), GA_OK) << error_.message;
  ASSERT_EQ(ga_attention_forward(cpu.handle(), &here.params, &error_), GA_OK) << error_.message;
  EXPECT_EQ(there.out_bits(), here.out_bits());
  EXPECT_EQ(there.lse_bits(), here.lse_bits());
}

TEST_F(Device, MergesPartialResults) {
  runtime_.trust_all_memory();
  const Runtime cpu(1, GA_ISA_SCALAR);
  const Case c = shaped_case({"", 1, 3, 30, 2, 1, 64, 64, false}, GA_F32, {.sink = true});
  const Instance there(c), here(c);
  Partials on_device(there, {0, 9, 30}), on_cpu(here, {0, 9, 30});
  ASSERT_EQ(on_device.run(runtime_.handle()), "");
  ASSERT_EQ(on_cpu.run(cpu.handle()), "");
  ASSERT_EQ(ga_attention_merge(runtime_.handle(), &on_device.params, &error_), GA_OK) << error_.message;
  ASSERT_EQ(ga_attention_merge(cpu.handle(), &on_cpu.params, &error_), GA_OK) << error_.message;
  EXPECT_EQ(there.out_bits(), here.out_bits());
}

TEST_F(Device, TakesTheStreamOfTheCall) {
  runtime_.trust_all_memory();
  Instance instance(good_call());
  void *stream = nullptr;
  ASSERT_EQ(ga_stream_open(runtime_.handle(), &stream, &error_), GA_OK);
  instance.params.stream = stream;
  EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_OK) << error_.message;
  EXPECT_EQ(fake<void *()>("fake_cuda_last_stream")(), stream);
  EXPECT_EQ(ga_stream_close(runtime_.handle(), stream, &error_), GA_OK);
  EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_INVALID_ARGUMENT);
  instance.params.stream = nullptr;
  EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_OK) << error_.message;
  EXPECT_EQ(fake<void *()>("fake_cuda_last_stream")(), nullptr);
}

TEST_F(Device, StreamsAreRefusedOnTheCpu) {
  const Runtime cpu(1);
  Instance instance(good_call());
  instance.params.stream = &error_;
  EXPECT_EQ(ga_attention_forward(cpu.handle(), &instance.params, &error_), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error_.message, "stream")) << error_.message;
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  EXPECT_EQ(ga_attention_plan_for(cpu.handle(), &instance.params, &plan, &error_), GA_INVALID_ARGUMENT);
  EXPECT_EQ(instance.untouched(), "");
}

// Each tensor in turn in memory of the host: named, and nothing is launched.
TEST_F(Device, MemoryOfTheHostIsRefusedByName) {
  const Instance instance(good_call());
  const int64_t before = calls();
  struct Field {
    const char *name;
    ga_tensor ga_attention_params::*tensor;
  };
  const Field fields[] = {{"q", &ga_attention_params::q},     {"k", &ga_attention_params::k},
                          {"v", &ga_attention_params::v},     {"gate", &ga_attention_params::gate},
                          {"out", &ga_attention_params::out}, {"lse", &ga_attention_params::lse}};
  for (const Field &field : fields) {
    ga_attention_params params = instance.params;
    std::vector<void *> given;
    for (const Field &other : fields) {
      ga_tensor &tensor = params.*other.tensor;
      if (other.tensor == field.tensor || !tensor.data) continue;
      ASSERT_EQ(ga_memory_allocate(runtime_.handle(), GA_MEMORY_DEVICE, tensor.bytes, &tensor.data, &error_), GA_OK);
      given.push_back(tensor.data);
    }
    params.norm_weight.data = params.sink.data = params.key_lengths.data = nullptr;
    params.pre_gate = GA_PRE_NONE;
    EXPECT_EQ(ga_attention_forward(runtime_.handle(), &params, &error_), GA_INVALID_ARGUMENT);
    EXPECT_TRUE(holds_word(error_.message, field.name) && holds_word(error_.message, "host"))
        << field.name << ": " << error_.message;
    for (void *memory : given) EXPECT_EQ(ga_memory_free(runtime_.handle(), memory, &error_), GA_OK);
  }
  EXPECT_EQ(calls(), before);
  EXPECT_EQ(instance.untouched(), "");
}

TEST_F(Device, BadCallsAreRefusedAsOnTheCpu) {
  runtime_.trust_all_memory();
  const BadCall bad_calls[] = {
      {"size", [](auto &p) { p.struct_size -= 8; }, {"struct_size"}},
      {"head_dim", [](auto &p) { p.head_dim = 12; }, {"head_dim", "12"}},
      {"bytes", [](auto &p) { p.q.bytes -= 4; }, {"q"}},
      {"overlap", [](auto &p) { p.out.data = p.k.data; }, {"out", "k"}},
  };
  const int64_t before = calls();
  for (const BadCall &bad : bad_calls) {
    Instance instance(good_call());
    bad.spoil(instance.params);
    expect_refused(runtime_.handle(), instance, bad);
  }
  EXPECT_EQ(calls(), before);
}

TEST_F(Device, PlansWithoutLookingAtLengths) {
  runtime_.trust_all_memory();
  Instance instance(good_call());
  alignas(64) int32_t nowhere[4] = {-7, 1 << 30, -1, 0};  // of a device: never read
  instance.params.key_lengths = {nowhere, sizeof nowhere, {1, 0, 0, 0}, GA_I32, 0};
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ASSERT_EQ(ga_attention_plan_for(runtime_.handle(), &instance.params, &plan, &error_), GA_OK) << error_.message;
  EXPECT_STREQ(plan.kernel, "fake_d16");
  EXPECT_EQ(plan.workspace_bytes, 4096);
  EXPECT_EQ(plan.tasks, 2 * 4);
  EXPECT_EQ(plan.threads, 1);
  instance.params.key_lengths.data = nullptr;
  const Runtime cpu(1);
  ga_attention_plan on_cpu{};
  on_cpu.struct_size = sizeof on_cpu;
  ASSERT_EQ(ga_attention_plan_for(cpu.handle(), &instance.params, &on_cpu, &error_), GA_OK);
  EXPECT_EQ(plan.flop, on_cpu.flop) << "of sequences as long as they may be";
  EXPECT_EQ(plan.bytes, on_cpu.bytes);
}

TEST_F(Device, WorkspaceThatIsTooSmallIsRefused) {
  runtime_.trust_all_memory();
  Instance instance(good_call());
  alignas(64) static char lent[4096];
  instance.params.workspace = lent;
  instance.params.workspace_bytes = 4095;
  EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error_.message, "4095") && holds_word(error_.message, "4096")) << error_.message;
  EXPECT_EQ(instance.untouched(), "");
  instance.params.workspace_bytes = 4096;
  EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_OK) << error_.message;
}

TEST_F(Device, WhatRunsOnTheCpuAloneSaysSo) {
  runtime_.trust_all_memory();
  Instance instance(good_call());
  instance.backward.struct_size = sizeof instance.backward;
  const ga_runtime r = runtime_.handle();
  const auto unsupported = [&](ga_status status) {
    EXPECT_EQ(status, GA_UNSUPPORTED);
    EXPECT_TRUE(holds_word(error_.message, "CPU")) << error_.message;
  };
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  unsupported(ga_attention_backward(r, &instance.params, &instance.backward, &error_));
  unsupported(ga_attention_backward_plan_for(r, &instance.params, &instance.backward, &plan, &error_));
  ga_measure_params measure{};
  unsupported(ga_attention_measure(r, &measure, &error_, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                   nullptr, nullptr, nullptr));
  ga_values_params values{};
  unsupported(ga_measure_values(r, &values, &error_, nullptr));
  ga_epilogue_params epilogue{};
  unsupported(ga_epilogue(r, &epilogue, &error_, nullptr, nullptr, nullptr, nullptr));
  EXPECT_EQ(instance.untouched(), "");
}

TEST_F(Device, ThatFailedReportsTheFirstCauseFromThenOn) {
  runtime_.trust_all_memory();
  Instance instance(good_call());
  fake<void(int32_t)>("fake_cuda_break")(0);
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, &error_), GA_DEVICE_FAILED);
    EXPECT_TRUE(holds_word(error_.message, "forward") && holds_word(error_.message, "illegal")) << error_.message;
  }
  EXPECT_EQ(instance.untouched(), "");
}

TEST_F(Device, AnyNumberOfThreadsMayCall) {
  runtime_.trust_all_memory();
  const DeviceRuntime other(1);
  other.trust_all_memory();
  const Instance first(good_call());
  ga_error error{};
  ASSERT_EQ(ga_attention_forward(runtime_.handle(), &first.params, &error), GA_OK);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      Instance mine(good_call());
      for (int i = 0; i < 50; i++) {
        ga_error failure{};
        const ga_runtime r = (t + i) % 2 ? runtime_.handle() : other.handle();
        EXPECT_EQ(ga_attention_forward(r, &mine.params, &failure), GA_OK) << failure.message;
        EXPECT_EQ(mine.out_bits(), first.out_bits());
      }
    });
  for (std::thread &thread : threads) thread.join();
}

}  // namespace
}  // namespace gatest
