// Bad backward calls: a clear error that names the argument and the values, and nothing written.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <limits>

#include "backward_case.h"
#include "refusal.h"

namespace gatest {
namespace {

using Forward = ga_attention_params;
using Params = ga_attention_backward_params;

struct BadBackward {
  const char *what;
  std::function<void(Forward &, Params &)> spoil;
  std::vector<std::string> words;
  ga_status status = GA_INVALID_ARGUMENT;
};

// B 2, Sq 3, Sk 5, heads 4/2, D 16, Dv 24, f32, dense, with every operand.
Case good_backward() {
  Case c = good_call();
  add_gradients(c);
  return c;
}

void expect_refused(const Case &c, const std::vector<BadBackward> &calls) {
  const Runtime runtime(2);
  for (const BadBackward &bad : calls) {
    SCOPED_TRACE(bad.what);
    Instance instance(c);
    ASSERT_EQ(run_backward(runtime.handle(), instance), "");
    instance.take_snapshot();
    bad.spoil(instance.params, instance.backward);
    ga_error error{};
    std::memset(&error, 0x5a, sizeof error);
    EXPECT_EQ(ga_attention_backward(runtime.handle(), &instance.params, &instance.backward, &error), bad.status);
    EXPECT_EQ(error.status, bad.status);
    ASSERT_LT(strnlen(error.message, sizeof error.message), sizeof error.message);
    for (const std::string &word : bad.words) {
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    }
    EXPECT_EQ(ga_attention_backward(runtime.handle(), &instance.params, &instance.backward, nullptr), bad.status);
    EXPECT_EQ(instance.untouched(), "");
  }
}

TEST(BackwardRefusals, GoodCallIsAcceptedInEveryForm) {
  const Runtime runtime(2);
  Instance instance(good_backward());
  ASSERT_EQ(run_backward(runtime.handle(), instance), "");
  const void *n = nullptr;
  ga_error error{};
  EXPECT_EQ(ga_attention_backward_holding(runtime.handle(), &instance.params, &instance.backward, &error, n, n, n, n, n,
                                          n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n),
            GA_OK)
      << error.message;
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  EXPECT_EQ(ga_attention_backward_plan_for(runtime.handle(), &instance.params, &instance.backward, &plan, &error), GA_OK)
      << error.message;
  EXPECT_NE(std::string(plan.kernel).find("forward+backward_f32_"), std::string::npos) << plan.kernel;  // RMSNorm needs Y
  EXPECT_GT(plan.workspace_bytes, 0);
  EXPECT_EQ(ga_attention_backward_plan_for(runtime.handle(), &instance.params, &instance.backward, nullptr, &error),
            GA_INVALID_ARGUMENT);
  EXPECT_EQ(ga_attention_backward(0, &instance.params, &instance.backward, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_attention_backward(runtime.handle(), nullptr, &instance.backward, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "forward")) << error.message;
  EXPECT_EQ(ga_attention_backward(runtime.handle(), &instance.params, nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "backward")) << error.message;
}

TEST(BackwardRefusals, OfNumbers) {
  expect_refused(
      good_backward(),
      {{"struct_size 0",
        [](Forward &, Params &g) { g.struct_size = 0; },
        {"struct_size", "0", std::to_string(sizeof(Params))}},
       {"forward.struct_size", [](Forward &p, Params &) { p.struct_size += 8; }, {"struct_size"}},
       {"batch", [](Forward &p, Params &) { p.batch = -1; }, {"batch", "-1"}},
       {"heads", [](Forward &p, Params &) { p.heads_q = 3; }, {"heads_q", "3", "heads_kv", "2"}},
       {"scale", [](Forward &p, Params &) { p.scale = std::numeric_limits<float>::quiet_NaN(); }, {"scale", "nan"}},
       {"workspace misaligned",
        [](Forward &, Params &g) { g.workspace = reinterpret_cast<void *>(uintptr_t{4096 + 8}); },
        {"workspace", "64"}},
       {"workspace_bytes",
        [](Forward &, Params &g) {
          g.workspace = reinterpret_cast<void *>(uintptr_t{4096});
          g.workspace_bytes = -64;
        },
        {"workspace_bytes", "-64"}},
       {"workspace on dq",
        [](Forward &, Params &g) {
          g.workspace = reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(g.dq.data) / 64 * 64);
          g.workspace_bytes = 1 << 20;
        },
        {"workspace", "overlaps"}}});
}

TEST(BackwardRefusals, OfTensors) {
  expect_refused(
      good_backward(),
      {{"no dout", [](Forward &, Params &g) { g.dout.data = nullptr; }, {"dout", "NULL"}},
       {"dout of bf16", [](Forward &, Params &g) { g.dout.dtype = GA_BF16; }, {"dout", "bf16", "f32"}},
       {"no lse", [](Forward &p, Params &) { p.lse.data = nullptr; }, {"lse", "NULL"}},
       {"no out",
        [](Forward &p, Params &) { p.pre_gate = GA_PRE_NONE, p.norm_weight = {}, p.out.data = nullptr; },
        {"out", "NULL"}},
       {"dq of f16", [](Forward &, Params &g) { g.dq.dtype = GA_F16; }, {"dq", "f16", "f32"}},
       {"dk short", [](Forward &, Params &g) { g.dk.bytes -= 1; }, {"dk"}},
       {"dv shared", [](Forward &, Params &g) { g.dv.stride[1] = 0; }, {"dv", "0"}},
       {"dgate negative", [](Forward &, Params &g) { g.dgate.stride[1] = -96; }, {"dgate", "-96"}},
       {"ungated of i32", [](Forward &, Params &g) { g.ungated = g.dout, g.ungated.dtype = GA_I32; }, {"ungated", "i32"}},
       {"dq misaligned", [](Forward &, Params &g) { g.dq.data = static_cast<char *>(g.dq.data) + 2; }, {"dq", "4"}},
       {"dq folded", [](Forward &, Params &g) { g.dq.stride[2] = 8; }, {"dq", "overlap"}},
       {"dgate without gate", [](Forward &p, Params &) { p.gate = {}; }, {"dgate", "gate"}},
       {"dnorm_weight without", [](Forward &p, Params &) { p.norm_weight = {}; }, {"dnorm_weight", "norm_weight"}},
       {"dsink without sink", [](Forward &p, Params &) { p.sink = {}; }, {"dsink", "sink"}},
       {"dgate not shared as gate",
        [](Forward &p, Params &) { p.gate.stride[2] = 0; },
        {"dgate", "head", "24", "gate", "0"}},
       {"dgate shared, gate not",
        [](Forward &, Params &g) { g.dgate.stride[3] = 0; },
        {"dgate", "dim", "0", "gate", "1"}},
       {"dsink not shared as sink", [](Forward &p, Params &) { p.sink.stride[2] = 0; }, {"dsink", "head", "sink"}},
       {"lengths",
        [](Forward &p, Params &) {
          static_cast<int32_t *>(p.key_lengths.data)[0] = 5;
          p.seq_k = 4;
        },
        {"key_lengths[0]", "5", "4"}}});
}

TEST(BackwardRefusals, OfOverlaps) {
  expect_refused(good_backward(),
                 {{"dq on q", [](Forward &p, Params &g) { g.dq.data = p.q.data; }, {"dq", "q"}},
                  {"dk on v", [](Forward &p, Params &g) { g.dk.data = p.v.data; }, {"dk", "v"}},
                  {"dv on dout",
                   [](Forward &, Params &g) {
                     g.dv = g.dout;
                     g.dv.stride[1] = 48;
                     g.dv.stride[0] = 240;
                   },
                   {"dv"}},
                  {"dgate on dout", [](Forward &, Params &g) { g.dgate = g.dout; }, {"dgate", "dout"}},
                  {"dgate on gate", [](Forward &p, Params &g) { g.dgate = p.gate; }, {"dgate", "gate"}},
                  {"dq on lse", [](Forward &p, Params &g) { g.dsink.data = p.lse.data; }, {"dsink", "lse"}},
                  {"dgate on out", [](Forward &p, Params &g) { g.dgate = p.out; }, {"dgate", "out"}},
                  {"out on gate", [](Forward &p, Params &) { p.out = p.gate; }, {"out", "gate"}}});
}

TEST(BackwardRefusals, OfWhatThereIsNoBackwardPassFor) {
  Case c = good_backward();
  c.key_lengths = {};
  c.lengths.clear();
  static int32_t table[2 * 5] = {};
  expect_refused(c, {{"rounding",
                      [](Forward &p, Params &) { p.flags |= GA_ROUND_BEFORE_GATE; },
                      {"GA_ROUND_BEFORE_GATE"},
                      GA_UNSUPPORTED},
                     {"pages",
                      [](Forward &p, Params &) {
                        p.block_table = {table, sizeof table, {5, 1, 1, 1}, GA_I32, 0};
                        p.pages = 2;
                        p.page_size = 1;
                      },
                      {"block_table"},
                      GA_UNSUPPORTED},
                     {"keys of bf16",
                      [](Forward &p, Params &) { p.k.dtype = p.v.dtype = GA_BF16; },
                      {"k", "bf16", "f32"},
                      GA_UNSUPPORTED}});
}

TEST(BackwardRefusals, NothingWantedAndNothingThereAreAccepted) {
  const Runtime runtime(2);
  Case c = good_backward();
  c.dq = c.dk = c.dv = c.dgate = c.dnorm_weight = c.dsink = View{};
  Instance instance(c);
  EXPECT_EQ(run_backward(runtime.handle(), instance), "");
  EXPECT_EQ(instance.untouched(), "");
  Instance other(good_backward());
  other.params.batch = 0;
  ga_error error{};
  EXPECT_EQ(ga_attention_backward(runtime.handle(), &other.params, &other.backward, &error), GA_OK) << error.message;
}

}  // namespace
}  // namespace gatest
