// The Hopper forward kernels against float64: every head_dim, type, gate and mask under three schedules of what is asynchronous;
// and mistakes planted in the primitives that they are made of, each of which the comparison must see.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "emulated_call.h"
#include "environment.h"
#include "forward_sm90_call.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

using gaemu::Asynchronous;
using gaemu::Fault;
using gaemu::Options;

constexpr Asynchronous kSchedules[] = {Asynchronous::kEager, Asynchronous::kRandom, Asynchronous::kLate};

struct Sizes {
  int64_t batch, seq_q, seq_k;
  int32_t heads_q, heads_kv, head_dim;
};

enum class Gate { kNone, kHead, kElement };

Case sized_case(const Sizes &s, ga_dtype dtype, uint64_t seed) {
  Case c;
  c.seed = seed;
  c.batch = s.batch;
  c.seq_q = s.seq_q;
  c.seq_k = s.seq_k;
  c.heads_q = s.heads_q;
  c.heads_kv = s.heads_kv;
  c.head_dim = c.head_dim_v = s.head_dim;
  c.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
  c.dtype = dtype;
  return c;
}

Case dense_case(const Sizes &s, ga_dtype dtype, Gate gate, uint64_t seed) {
  Case c = sized_case(s, dtype, seed);
  lay_out_densely(c, {.gate = gate == Gate::kElement});
  if (gate == Gate::kHead) {
    c.gate = own_block(c, dtype, {s.batch, s.seq_q, s.heads_q, 1});
    c.gate.stride[3] = 0;
  }
  return c;
}

// q and gate side by side in the rows of one projection, per head or each after the other, with some padding after a row.
void pack_query_and_gate(Case &c, bool per_head, int64_t padding) {
  const int64_t d = c.head_dim, heads = c.heads_q, row = 2 * heads * d + padding;
  c.layout = per_head ? "[q|gate] per head" : "[q|gate] grouped";
  c.q.extent = c.gate.extent = {c.batch, c.seq_q, heads, d};
  c.q.dtype = c.gate.dtype = c.dtype;
  c.q.block = c.gate.block = static_cast<int>(c.block_bytes.size());
  c.q.stride = c.gate.stride = {c.seq_q * row, row, per_head ? 2 * d : d, 1};
  c.q.offset = 8;
  c.gate.offset = 8 + (per_head ? d : heads * d);
  c.block_bytes.push_back((8 + c.batch * c.seq_q * row) * 2);
}

Options with(Asynchronous asynchronous, uint64_t seed = 1) {
  Options options;
  options.asynchronous = asynchronous;
  options.seed = seed;
  return options;
}

std::string run(const Case &c, const Options &options, int blocks = 2, ErrorBalance *balance = nullptr) {
  return run_emulated(c, [&](const ga::Problem &p) { return launch_forward_sm90(p, options, blocks); }, balance);
}

TEST(ForwardSm90, EveryHeadDim) {
  uint64_t seed = 1;
  for (const int32_t head_dim : {64, 96, 128, 192, 256}) {
    for (const ga_dtype dtype : {GA_BF16, GA_F16}) {
      Case c = dense_case({1, 140, 270, 2, 1, head_dim}, dtype, Gate::kElement, seed++);
      c.flags |= GA_CAUSAL;
      EXPECT_EQ("", run(c, with(kSchedules[seed % 3], seed)));
    }
  }
}

TEST(ForwardSm90, EveryGate) {
  uint64_t seed = 1;
  for (const Gate gate : {Gate::kNone, Gate::kHead, Gate::kElement}) {
    for (int activation = GA_SIGMOID; activation <= (gate == Gate::kNone ? GA_SIGMOID : GA_TANH); ++activation) {
      for (const ga_combination combination : {GA_MULTIPLY, GA_ADD}) {
        Case c = dense_case({1, 70, 70, 1, 1, activation % 2 ? 64 : 192}, seed % 2 ? GA_BF16 : GA_F16, gate, seed);
        c.activation = activation;
        c.combination = combination;
        c.gate_size = 4;
        EXPECT_EQ("", run(c, with(Asynchronous::kEager, seed++), 1));
      }
    }
  }
}

// Calls over every option that these kernels have.
Case random_call(uint64_t seed) {
  Random random(seed);
  const int32_t heads_kv = random.pick<int32_t>({1, 1, 2});
  const int64_t seq_q = random.pick<int64_t>({1, 7, 33, 64, 65, 127, 128, 129, 200, 300});
  const int64_t seq_k = random.chance(0.4) ? seq_q : random.pick<int64_t>({1, 31, 80, 96, 127, 128, 129, 255, 300, 513});
  Sizes s = {random.pick<int64_t>({1, 1, 2}),
             seq_q,
             seq_k,
             heads_kv * random.pick<int32_t>({1, 2, 3}),
             heads_kv,
             random.pick<int32_t>({64, 64, 96, 128, 192, 256})};
  if (s.batch * s.heads_q * s.seq_q * s.seq_k > 120'000) s.batch = s.heads_q = s.heads_kv = 1;
  const Gate gate = random.pick({Gate::kNone, Gate::kHead, Gate::kElement, Gate::kElement});
  Case c = dense_case(s, random.pick<ga_dtype>({GA_BF16, GA_F16}), gate, seed);
  if (gate == Gate::kElement && random.chance(0.5)) pack_query_and_gate(c, random.chance(0.5), 8 * random.below(4));
  if (gate == Gate::kElement && random.chance(0.2)) c.gate.stride[2] = c.gate.extent[2] = c.heads_q == 1 ? 1 : 0;
  if (c.gate.present() && c.gate.extent[2] == 0) c.gate.extent[2] = 1;
  if (gate != Gate::kNone) {
    c.activation = static_cast<ga_activation>(random.below(7));
    c.combination = random.chance(0.3) ? GA_ADD : GA_MULTIPLY;
    c.gate_size = random.pick({1.0, 4.0, 40.0});
  }
  if (random.chance(0.5)) c.flags |= GA_CAUSAL;
  if (random.chance(0.35)) c.window_left = random.pick<int64_t>({0, 1, 31, 64, 100, std::numeric_limits<int64_t>::max()});
  if (random.chance(0.25)) c.window_right = random.pick<int64_t>({0, 6, 65, 900});
  c.poison = random.chance(0.5);
  c.query_size = random.pick({0.25, 1.0, 3.0});
  c.value_size = random.pick({0.01, 1.0, 30.0});
  if (random.chance(0.3)) c.lse = View{};
  if (random.chance(0.25)) {
    c.sink = own_block(c, GA_F32, {1, 1, c.heads_q, 1});
    c.sink_size = random.pick({1.0, 30.0});
  }
  if (random.chance(0.3)) {
    c.key_lengths = own_block(c, GA_I32, {c.batch, 1, 1, 1});
    for (int64_t b = 0; b < c.batch; ++b) c.lengths.push_back(static_cast<int32_t>(random.between(0, c.seq_k)));
  }
  return c;
}

TEST(ForwardSm90, RandomCases) {
  const int64_t cases = setting("GA_EMULATED_CASES", 48);
  ErrorBalance balance;
  for (int64_t n = 0; n < cases; ++n) {
    const uint64_t seed = case_seed(static_cast<uint64_t>(setting("GA_RANDOM_SEED", 1)), n);
    const Case c = random_call(seed);
    announce_case(describe(c));
    ASSERT_EQ("", run(c, with(kSchedules[n % 3], seed), 1 + static_cast<int>(n % 4), &balance)) << "case " << n;
  }
  EXPECT_LE(std::fabs(balance.sum), balance.elements / 10);
}

TEST(ForwardSm90, TheSameBitsInAnyOrder) {
  for (const int32_t head_dim : {64, 256}) {
    Case c = dense_case({2, 200, 200, 2, 1, head_dim}, GA_BF16, Gate::kElement, 5);
    c.flags |= GA_CAUSAL;
    std::vector<std::byte> first;
    for (int blocks = 1; blocks <= 5; blocks += 2) {
      Instance instance(c);
      ga::Problem p;
      ASSERT_EQ("", problem_of(instance.params, p));
      ASSERT_EQ("", launch_forward_sm90(p, with(kSchedules[blocks / 2], 9), blocks));
      if (first.empty()) first = instance.out_bits();
      EXPECT_EQ(first, instance.out_bits());
    }
  }
}

// A key's NaN or infinity reaches the rows that see it and no other, though they share tiles with rows that do not.
TEST(ForwardSm90, WhatARowDoesNotSeeNeverTouchesIt) {
  uint64_t seed = 1;
  for (const Gate gate : {Gate::kNone, Gate::kHead, Gate::kElement}) {
    const int32_t head_dim = gate == Gate::kNone ? 96 : gate == Gate::kHead ? 192 : 64;
    Case c = dense_case({1, 90, 110, 1, 1, head_dim}, seed % 2 ? GA_BF16 : GA_F16, gate, seed);
    c.flags |= GA_CAUSAL;
    c.window_left = 40;
    c.combination = seed % 2 ? GA_MULTIPLY : GA_ADD;
    Instance instance(c);
    const auto set = [&](const View &view, int64_t row, int64_t dim, double x) {
      store(c.dtype, instance.address(view, 0, row, 0, dim), x);
    };
    set(c.v, 40, 3, std::numeric_limits<double>::quiet_NaN());
    set(c.v, 70, head_dim - 1, std::numeric_limits<double>::infinity());
    set(c.k, 95, 1, std::numeric_limits<double>::quiet_NaN());
    set(c.q, 33, 0, std::numeric_limits<double>::quiet_NaN());
    instance.take_snapshot();
    ga::Problem p;
    ASSERT_EQ("", problem_of(instance.params, p));
    ASSERT_EQ("", launch_forward_sm90(p, with(kSchedules[seed % 3], seed), 1));
    EXPECT_EQ("", compare(instance, reference_forward(instance.params), nullptr)) << describe(c);
    EXPECT_EQ("", instance.untouched_elsewhere());
    ++seed;
  }
}

// Each mistake, in a call whose tiles have several key blocks and whose last block is cleared of what no row may see.
TEST(ForwardSm90, PlantedMistakesAreSeen) {
  Case c = dense_case({1, 140, 300, 2, 1, 64}, GA_BF16, Gate::kElement, 3);
  c.flags |= GA_CAUSAL;
  c.poison = true;
  c.key_lengths = own_block(c, GA_I32, {1, 1, 1, 1});
  c.lengths = {290};
  ASSERT_EQ("", run(c, with(Asynchronous::kLate), 1));
  for (const Fault fault : {Fault::kBarrierWaitReturns, Fault::kWrongPhase, Fault::kLateLoad, Fault::kWrongSwizzle,
                            Fault::kEarlyRelease, Fault::kNoAsyncProxyFence, Fault::kNoBarrierInitFence,
                            Fault::kNoStoreWait, Fault::kNoSyncThreads, Fault::kNoNamedSync}) {
    bool seen = false;
    for (uint64_t seed = 1; seed <= 4 && !seen; ++seed) {
      Options options = with(Asynchronous::kLate, seed);
      options.fault = fault;
      seen = !run(c, options, 1).empty();
    }
    EXPECT_TRUE(seen) << "fault " << static_cast<int>(fault);
  }
  // One wait of many is enough.
  for (const int every : {2, 5, 11}) {
    Options options = with(Asynchronous::kLate);
    options.fault = Fault::kBarrierWaitReturns;
    options.fault_every = every;
    EXPECT_NE("", run(c, options, 1)) << every;
  }
}

TEST(ForwardSm90, RefusesWhatItDoesNotCompute) {
  const auto refusal_with = [](auto change) {
    Case c = dense_case({1, 64, 64, 1, 1, 64}, GA_BF16, Gate::kElement, 1);
    change(c);
    Instance instance(c);
    ga::Problem p;
    const std::string refused = problem_of(instance.params, p);
    return refused.empty() ? launch_forward_sm90(p, {}, 1) : refused;
  };
  EXPECT_EQ("", refusal_with([](Case &) {}));
  EXPECT_EQ("refused: softcap is not in the Hopper kernels", refusal_with([](Case &c) { c.softcap = 30; }));
  EXPECT_EQ("refused: scale is not above 0", refusal_with([](Case &c) { c.scale = -1; }));
  EXPECT_EQ("refused: a step before the gate is not in the Hopper kernels",
            refusal_with([](Case &c) { c.pre_gate = GA_PRE_SILU; }));
  EXPECT_EQ("refused: q, k, v, gate and out must be at multiples of 16 bytes", refusal_with([](Case &c) {
              c.q.offset = 1;
              c.block_bytes[static_cast<size_t>(c.q.block)] += 2;
            }));
  EXPECT_EQ("refused: the strides of q, k, v, gate and out must be multiples of 16 bytes", refusal_with([](Case &c) {
              c.k.stride[1] += 4;
              c.block_bytes[static_cast<size_t>(c.k.block)] += 64 * 8;
            }));
  EXPECT_EQ("refused: an element-wise gate is not of q's type",
            refusal_with([](Case &c) { c.gate = own_block(c, GA_F32, {1, 64, 1, 64}); }));
}

}  // namespace
}  // namespace gatest
