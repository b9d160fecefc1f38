// Bad sizes, options and tensors: a clear error that names the argument and the values, and nothing written.

#include "refusal.h"

#include <cstring>
#include <limits>
#include <memory>

namespace gatest {
namespace {

using Params = ga_attention_params;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

TEST(Refusals, GoodCallIsAccepted) {
  const Runtime runtime(2);
  EXPECT_EQ(run_and_check(runtime.handle(), good_call(), Placement::kGuardAfter, nullptr), "");
}

TEST(Refusals, OfSizes) {
  expect_all_refused(good_call(),
                     {
                         {"batch negative", [](Params &p) { p.batch = -1; }, {"batch", "-1"}},
                         {"seq_q negative", [](Params &p) { p.seq_q = -7; }, {"seq_q", "-7"}},
                         {"seq_k negative", [](Params &p) { p.seq_k = -9; }, {"seq_k", "-9"}},
                         {"batch huge", [](Params &p) { p.batch = kHuge; }, {"batch"}},
                         {"seq_q huge", [](Params &p) { p.seq_q = kHuge; }, {"seq_q"}},
                         {"seq_k huge", [](Params &p) { p.seq_k = kHuge; }, {"seq_k"}},
                         {"heads_q 0", [](Params &p) { p.heads_q = 0; }, {"heads_q", "0"}},
                         {"heads_q negative", [](Params &p) { p.heads_q = -4; }, {"heads_q", "-4"}},
                         {"heads_kv 0", [](Params &p) { p.heads_kv = 0; }, {"heads_kv", "0"}},
                         {"heads_kv negative", [](Params &p) { p.heads_kv = -2; }, {"heads_kv", "-2"}},
                         {"heads_q no multiple", [](Params &p) { p.heads_kv = 3; }, {"heads_q", "4", "heads_kv", "3"}},
                         {"more kv heads", [](Params &p) { p.heads_kv = 8; }, {"heads_q", "4", "heads_kv", "8"}},
                         {"head_dim 0", [](Params &p) { p.head_dim = 0; }, {"head_dim", "0"}},
                         {"head_dim 12", [](Params &p) { p.head_dim = 12; }, {"head_dim", "12", "8"}},
                         {"head_dim 520", [](Params &p) { p.head_dim = 520; }, {"head_dim", "520", "512"}},
                         {"head_dim negative", [](Params &p) { p.head_dim = -16; }, {"head_dim", "-16"}},
                         {"head_dim_v 0", [](Params &p) { p.head_dim_v = 0; }, {"head_dim_v", "0"}},
                         {"head_dim_v 20", [](Params &p) { p.head_dim_v = 20; }, {"head_dim_v", "20", "8"}},
                         {"head_dim_v 1024", [](Params &p) { p.head_dim_v = 1024; }, {"head_dim_v", "1024", "512"}},
                     });
}

TEST(Refusals, OfOptions) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  expect_all_refused(good_call(),
                     {
                         {"window_left -2", [](Params &p) { p.window_left = -2; }, {"window_left", "-2"}},
                         {"window_right lowest",
                          [](Params &p) { p.window_right = -kHuge - 1; },
                          {"window_right", "-9223372036854775808"}},
                         {"scale NaN", [=](Params &p) { p.scale = nan; }, {"scale", "nan"}},
                         {"scale infinite", [=](Params &p) { p.scale = infinity; }, {"scale", "inf"}},
                         {"scale -infinite", [=](Params &p) { p.scale = -infinity; }, {"scale", "-inf"}},
                         {"softcap NaN", [=](Params &p) { p.softcap = nan; }, {"softcap", "nan", "0"}},
                         {"softcap infinite", [=](Params &p) { p.softcap = infinity; }, {"softcap", "inf", "0"}},
                         {"softcap negative", [](Params &p) { p.softcap = -30; }, {"softcap", "-30", "0"}},
                         {"norm_eps NaN", [=](Params &p) { p.norm_eps = nan; }, {"norm_eps", "nan"}},
                         {"norm_eps infinite", [=](Params &p) { p.norm_eps = infinity; }, {"norm_eps", "inf"}},
                         {"norm_eps negative", [](Params &p) { p.norm_eps = -0.5F; }, {"norm_eps", "-0.5"}},
                         {"activation 7", [](Params &p) { p.activation = 7; }, {"activation", "7"}},
                         {"activation -1", [](Params &p) { p.activation = -1; }, {"activation", "-1"}},
                         {"combination 2", [](Params &p) { p.combination = 2; }, {"combination", "2"}},
                         {"pre_gate 3", [](Params &p) { p.pre_gate = 3; }, {"pre_gate", "3"}},
                         {"flag 4", [](Params &p) { p.flags |= 4; }, {"flags"}},
                         {"highest flag", [](Params &p) { p.flags |= std::numeric_limits<int32_t>::min(); }, {"flags"}},
                     });
}

TEST(Refusals, OfStructSizes) {
  expect_all_refused(
      good_call(),
      {
          {"0", [](Params &p) { p.struct_size = 0; }, {"struct_size", "0"}},
          {"negative", [](Params &p) { p.struct_size = -1; }, {"struct_size", "-1"}},
          {"one short", [](Params &p) { p.struct_size -= 1; }, {"struct_size", std::to_string(sizeof(Params))}},
          {"too large", [](Params &p) { p.struct_size += 8; }, {"struct_size", std::to_string(sizeof(Params))}},
          {"huge", [](Params &p) { p.struct_size = kHuge; }, {"struct_size", std::to_string(kHuge)}},
      });
}

TEST(Refusals, OfTypes) {
  expect_all_refused(
      good_call(),
      {
          {"q of unknown type", [](Params &p) { p.q.dtype = 9; }, {"q", "9"}},
          {"q of negative type", [](Params &p) { p.q.dtype = -1; }, {"q", "-1"}},
          {"q of integers", [](Params &p) { p.q.dtype = GA_I32; }, {"q", "i32"}},
          {"k of integers", [](Params &p) { p.k.dtype = GA_I32; }, {"k", "i32", "q", "f32"}},
          {"k of another type than v", [](Params &p) { p.k.dtype = GA_BF16; }, {"v", "f32", "k", "bf16"}},
          {"v of another type", [](Params &p) { p.v.dtype = GA_F16; }, {"v", "f16", "k", "f32"}},
          {"out of another type", [](Params &p) { p.out.dtype = GA_F16; }, {"out", "f16", "q", "f32"}},
          {"gate of integers", [](Params &p) { p.gate.dtype = GA_I32; }, {"gate", "i32"}},
          {"gate of unknown type", [](Params &p) { p.gate.dtype = 5; }, {"gate", "5"}},
          {"norm_weight of integers", [](Params &p) { p.norm_weight.dtype = GA_I32; }, {"norm_weight", "i32"}},
          {"sink of integers", [](Params &p) { p.sink.dtype = GA_I32; }, {"sink", "i32", "f32, bf16 or f16"}},
          {"key_lengths of f32", [](Params &p) { p.key_lengths.dtype = GA_F32; }, {"key_lengths", "f32", "i32"}},
          {"lse of bf16", [](Params &p) { p.lse.dtype = GA_BF16; }, {"lse", "bf16", "f32"}},
          {"reserved set", [](Params &p) { p.q.reserved = 1; }, {"q", "reserved", "1"}},
          {"reserved of lse set", [](Params &p) { p.lse.reserved = -1; }, {"lse", "reserved", "-1"}},
      });
}

// The same defect in each operand.
struct Operand {
  const char *name;
  ga_tensor Params::*tensor;
};

const Operand kOperands[] = {
    {"q", &Params::q},
    {"k", &Params::k},
    {"v", &Params::v},
    {"gate", &Params::gate},
    {"norm_weight", &Params::norm_weight},
    {"key_lengths", &Params::key_lengths},
    {"out", &Params::out},
    {"lse", &Params::lse},
    {"sink", &Params::sink},
};

TEST(Refusals, OfMissingOperands) {
  const Runtime runtime(1);
  for (const Operand &operand : {kOperands[0], kOperands[1], kOperands[2], kOperands[6]}) {
    Instance instance(good_call());
    (instance.params.*operand.tensor).data = nullptr;
    expect_refused(runtime.handle(), instance, {operand.name, {}, {operand.name, "NULL"}});
  }
}

TEST(Refusals, OfMisalignedOperands) {
  std::vector<BadCall> calls;
  for (const Operand &operand : kOperands) {
    const auto spoil = [=](Params &p) {
      ga_tensor &tensor = p.*operand.tensor;
      tensor.data = static_cast<char *>(tensor.data) + 2;
    };
    calls.push_back({operand.name, spoil, {operand.name, "multiple", "4"}});
  }
  expect_all_refused(good_call(), calls);
}

TEST(Refusals, OfByteLengthsOneShort) {
  std::vector<BadCall> calls;
  for (const Operand &operand : kOperands) {
    const Instance instance(good_call());
    const int64_t bytes = (instance.params.*operand.tensor).bytes;
    calls.push_back({operand.name,
                     [=](Params &p) { (p.*operand.tensor).bytes -= 1; },
                     {operand.name, std::to_string(bytes), std::to_string(bytes - 1)}});
    calls.push_back(
        {operand.name, [=](Params &p) { (p.*operand.tensor).bytes = 0; }, {operand.name, std::to_string(bytes), "0"}});
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).bytes = -8; }, {operand.name, "-8"}});
  }
  expect_all_refused(good_call(), calls);
}

TEST(Refusals, OfStrides) {
  std::vector<BadCall> calls;
  for (const Operand &operand : kOperands) {
    const bool per_head = operand.tensor != &Params::key_lengths;
    const size_t axis = per_head ? 2 : 0;
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[axis] = -16; }, {operand.name, "-16"}});
    // Products with the extents leave int64.
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[axis] = kHuge; }, {operand.name}});
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[axis] = kHuge / 2 + 1; }, {operand.name}});
  }
  for (const Operand &operand : {kOperands[0], kOperands[1], kOperands[2], kOperands[3], kOperands[4], kOperands[6]}) {
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[3] = 2; }, {operand.name, "2"}});
  }
  for (const Operand &operand : {kOperands[0], kOperands[1], kOperands[2], kOperands[6]}) {
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[3] = 0; }, {operand.name, "0"}});
    // Only a gate and norm weights may be the same along an axis.
    calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[1] = 0; }, {operand.name, "0"}});
  }
  for (const Operand &operand : {kOperands[6], kOperands[7]}) {
    for (const size_t axis : {0, 1, 2}) {
      calls.push_back({operand.name, [=](Params &p) { (p.*operand.tensor).stride[axis] = 0; }, {operand.name, "0"}});
    }
  }
  expect_all_refused(good_call(), calls);
}

TEST(Refusals, OfOutputsWhoseElementsOverlap) {
  expect_all_refused(good_call(), {
                                      {"heads closer than Dv", [](Params &p) { p.out.stride[2] = 16; }, {"out"}},
                                      {"rows closer than the heads", [](Params &p) { p.out.stride[1] = 72; }, {"out"}},
                                      {"batches closer than the rows", [](Params &p) { p.out.stride[0] = 96; }, {"out"}},
                                      {"two lse of one place", [](Params &p) { p.lse.stride[1] = 1; }, {"lse"}},
                                  });
}

TEST(Refusals, OfKeyLengths) {
  const Runtime runtime(1);
  for (const int32_t length : {-1, 6, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()}) {
    Case c = good_call();
    c.lengths = {5, length};
    const Instance instance(c);
    expect_refused(runtime.handle(), instance, {"key_lengths", {}, {"key_lengths", std::to_string(length), "5"}});
  }
}

TEST(Refusals, OfWorkspaces) {
  const Runtime runtime(2);
  Instance instance(good_call());
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  ASSERT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, &error), GA_OK) << error.message;
  ASSERT_GT(plan.workspace_bytes, 0);
  std::vector<std::byte> memory(static_cast<size_t>(plan.workspace_bytes) + 128);
  void *at = memory.data();
  size_t space = memory.size();
  std::byte *aligned = static_cast<std::byte *>(std::align(64, static_cast<size_t>(plan.workspace_bytes), at, space));
  instance.params.workspace = aligned;
  instance.params.workspace_bytes = plan.workspace_bytes - 1;
  const std::string needed = std::to_string(plan.workspace_bytes);
  expect_refused(runtime.handle(), instance,
                 {"one byte short", {}, {"workspace_bytes", needed, std::to_string(plan.workspace_bytes - 1)}});
  instance.params.workspace_bytes = -1;
  expect_refused(runtime.handle(), instance, {"negative", {}, {"workspace_bytes", "-1"}});
  instance.params.workspace = aligned + 4;
  instance.params.workspace_bytes = plan.workspace_bytes;
  expect_refused(runtime.handle(), instance, {"misaligned", {}, {"workspace", "64"}});
  instance.params.workspace = aligned;
  EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, &error), GA_OK) << error.message;
}

TEST(Refusals, OfNullParams) {
  const Runtime runtime(1);
  ga_error error{};
  EXPECT_EQ(ga_attention_forward(runtime.handle(), nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "params")) << error.message;
  const Instance instance(good_call());
  EXPECT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "plan")) << error.message;
  ga_attention_plan plan{};
  EXPECT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "struct_size")) << error.message;
}

TEST(Accepted, CallsThatComputeNothing) {
  const Runtime runtime(2);
  for (const int empty : {0, 1}) {
    Case c = good_call();
    (empty == 0 ? c.batch : c.seq_q) = 0;
    Instance instance(c);
    instance.params.q.data = instance.params.out.data = nullptr;
    instance.params.q.bytes = instance.params.out.bytes = 0;
    ga_error error{};
    EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, &error), GA_OK) << error.message;
    EXPECT_EQ(instance.untouched(), "");
  }
}

TEST(Accepted, PlansWithoutAddresses) {
  const Runtime runtime(2);
  Instance instance(good_call());
  for (const Operand &operand : {kOperands[0], kOperands[1], kOperands[2], kOperands[6]}) {
    (instance.params.*operand.tensor).data = nullptr;
  }
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  EXPECT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, &error), GA_OK) << error.message;
}

// Far larger than any memory: answered at once, without a walk over the rows, and without overflow.
TEST(Accepted, PlansOfHugeCalls) {
  const Runtime runtime(2);
  for (const int64_t size : {int64_t{1} << 24, int64_t{1} << 40, int64_t{1} << 48}) {
    ga_attention_params params{};
    params.struct_size = sizeof params;
    params.batch = 1;
    params.seq_q = params.seq_k = size;
    params.heads_q = params.heads_kv = 1;
    params.head_dim = params.head_dim_v = 64;
    params.window_left = params.window_right = -1;
    params.scale = 1;
    params.flags = GA_CAUSAL;
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    ga_error error{};
    const ga_status status = ga_attention_plan_for(runtime.handle(), &params, &plan, &error);
    EXPECT_TRUE(status == GA_OK || status == GA_UNSUPPORTED || status == GA_INVALID_ARGUMENT) << error.message;
    EXPECT_TRUE(status == GA_OK || size > 1 << 24) << error.message;
    if (status == GA_OK) {
      EXPECT_GT(plan.flop, 0);
    }
    if (size == 1 << 24) {
      EXPECT_EQ(plan.flop, size * (size + 1) * 128);
    }
  }
}

TEST(Accepted, SuccessLeavesTheErrorAlone) {
  const Runtime runtime(1);
  const Instance instance(good_call());
  ga_error error{};
  std::memset(&error, 0x5a, sizeof error);
  const ga_error before = error;
  EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, &error), GA_OK);
  EXPECT_EQ(std::memcmp(&error, &before, sizeof error), 0);
}

}  // namespace
}  // namespace gatest
