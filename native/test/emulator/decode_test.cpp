// Decode against float64: random calls, every kernel, the same bits whatever the order of blocks and copies; and what it takes
// for the tests to see a mistake.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "emulated_call.h"
#include "emulated_decode.h"
#include "environment.h"
#include "number.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

using ga::cuda::DeviceFacts;
using ga::cuda::decode::Arguments;
using gaemu::Asynchronous;
using gaemu::Blocks;
using gaemu::Fault;
using gaemu::Options;

constexpr Asynchronous kSchedules[] = {Asynchronous::kEager, Asynchronous::kRandom, Asynchronous::kLate};

std::string difference(const Case &c, const DeviceFacts &device, const Options &options,
                       ErrorBalance *balance = nullptr) {
  return run_emulated(
      c,
      [&](const ga::Problem &p) {
        DecodeWorkspace workspace;
        const std::string failure = run_decode(p, device, options, workspace);
        if (!failure.empty()) return failure;
        return workspace.counters_are_zero() ? "" : std::string("a counter was not set back");
      },
      balance);
}

TEST(Decode, RandomCallsAgreeWithFloat64) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300);
  ErrorBalance balance[3];
  int64_t done = 0;
  for (int64_t n = 0; done < cases; ++n) {
    const Case c = random_case(case_seed(1717, n), {.budget = 400'000});
    if (c.head_dim > 256 || c.head_dim_v > 256) continue;
    if (c.seq_q * (c.heads_q / c.heads_kv) > (c.dtype == GA_F32 ? 32 : 64)) continue;
    ++done;
    announce_case(describe(c));
    Options options;
    options.asynchronous = kSchedules[n % 3];
    options.blocks = n % 2 == 0 ? Blocks::kInterleaved : Blocks::kInSequence;
    options.seed = c.seed;
    ASSERT_EQ(difference(c, n % 4 == 0 ? small_ada() : hopper(), options, &balance[c.dtype]), "");
  }
  // Roundings to 16 bits cancel: the mean signed error is within a tenth of the mean bound.
  for (const ga_dtype dtype : {GA_BF16, GA_F16}) {
    EXPECT_LT(std::fabs(balance[dtype].sum), balance[dtype].elements / 10);
    EXPECT_LT(std::fabs(balance[dtype].sum_outwards), balance[dtype].elements / 10);
  }
}

Case decode_case(ga_dtype dtype, int64_t seq_q, int64_t seq_k, int32_t group, int32_t head_dim) {
  return shaped_case({"", 2, seq_q, seq_k, 2 * group, 2, head_dim, head_dim, true}, dtype);
}

TEST(Decode, EveryKernelAndGroupAgreesWithFloat64) {
  uint64_t n = 0;
  for (const ga_dtype dtype : kFloatTypes) {
    for (const int32_t head_dim : {64, 96, 128, 192, 256}) {
      for (int32_t group = 1; group <= 16; group += group < 4 ? 1 : 4) {
        const Case c = decode_case(dtype, 1 + static_cast<int64_t>(n % 2), 150, group, head_dim);
        Options options;
        options.asynchronous = kSchedules[n % 3];
        options.blocks = Blocks::kInterleaved;
        options.seed = ++n;
        ASSERT_EQ(difference(c, n % 2 == 0 ? small_ada() : hopper(), options), "");
      }
    }
  }
}

// The most rows that a block takes, over more keys than there are splits for.
TEST(Decode, FullBlocksAndLongCachesAgreeWithFloat64) {
  for (const ga_dtype dtype : kFloatTypes) {
    const int32_t group = dtype == GA_F32 ? 8 : 16;
    EXPECT_EQ(difference(decode_case(dtype, 4, 777, group, 128), small_ada(), {}), "");
    EXPECT_EQ(difference(decode_case(dtype, 3, 300, group, 64), hopper(), {}), "");
    EXPECT_EQ(difference(shaped_case({"", 1, 1, 5000, 4, 1, 64, 64, true}, dtype), small_ada(), {}), "");
  }
}

TEST(Decode, GivesTheSameBitsInAnyOrderOfBlocksAndAgain) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Case c = decode_case(dtype, 2, 700, 4, 64);
    std::vector<std::byte> out, lse;
    DecodeWorkspace workspace;
    for (uint64_t seed = 1; seed <= 6; ++seed) {
      const Instance instance(c);
      ga::Problem p;
      ASSERT_EQ(problem_of(instance.params, p), "");
      Options options;
      options.asynchronous = kSchedules[seed % 3];
      options.blocks = seed % 4 == 0 ? Blocks::kInSequence : Blocks::kInterleaved;
      options.seed = seed;
      // The same memory again, with the counters as the launch before left them: what a replayed graph finds.
      ASSERT_EQ(run_decode(p, hopper(), options, workspace), "");
      EXPECT_TRUE(workspace.counters_are_zero());
      EXPECT_GT(workspace.counter_bytes, 0U);
      if (out.empty()) {
        out = instance.out_bits();
        lse = instance.lse_bits();
      }
      EXPECT_EQ(instance.out_bits(), out);
      EXPECT_EQ(instance.lse_bits(), lse);
    }
  }
}

// Values that only the last query sees: those before it must not notice, in the products of tensor cores neither.
TEST(Decode, ValuesThatARowDoesNotSeeNeverTouchIt) {
  for (const ga_dtype dtype : kFloatTypes) {
    for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
      const Case c = decode_case(dtype, 4, 90, 2, 64);
      Instance instance(c);
      store(dtype, instance.address(c.v, 1, 89, 1, 33), value);
      store(dtype, instance.address(c.v, 1, 88, 0, 7), value);
      instance.take_snapshot();
      ga::Problem p;
      ASSERT_EQ(problem_of(instance.params, p), "");
      DecodeWorkspace workspace;
      ASSERT_EQ(run_decode(p, hopper(), {}, workspace), "");
      const auto out = [&](int64_t i, int64_t h, int64_t d) { return load(dtype, instance.address(c.out, 1, i, h, d)); };
      for (int64_t h = 0; h < 4; ++h) {
        for (int64_t i = 0; i < 4; ++i) {
          for (int64_t d = 0; d < 64; ++d) {
            const bool touched = h < 2 ? i >= 2 && d == 7 : i == 3 && d == 33;
            EXPECT_EQ(std::isfinite(out(i, h, d)), !touched) << "query " << i << " head " << h << " column " << d;
          }
        }
      }
      if (std::isinf(value)) continue;
      // And what they are is right where it is a number.
      const Reference reference = reference_forward(instance.params);
      EXPECT_EQ(compare(instance, reference, nullptr), "");
    }
  }
}

TEST(Decode, RefusesWhatIsNotForIt) {
  const auto refused = [](const Case &c) {
    const Instance instance(c);
    ga::Problem p;
    EXPECT_EQ(problem_of(instance.params, p), "");
    const char *why = ga::cuda::decode::refusal_of(p);
    return std::string(why ? why : "");
  };
  EXPECT_EQ(refused(decode_case(GA_BF16, 4, 10, 16, 64)), "");
  EXPECT_NE(refused(decode_case(GA_BF16, 5, 10, 16, 64)), "");
  EXPECT_EQ(refused(decode_case(GA_F32, 4, 10, 8, 64)), "");
  EXPECT_NE(refused(decode_case(GA_F32, 5, 10, 8, 64)), "");
  EXPECT_NE(refused(decode_case(GA_BF16, 1, 10, 1, 264)), "");
}

// ---- What tests of this kind see.

std::string with_fault(Fault fault, Asynchronous asynchronous) {
  Options options;
  options.fault = fault;
  options.asynchronous = asynchronous;
  return difference(decode_case(GA_BF16, 1, 600, 4, 64), small_ada(), options);
}

TEST(DecodePlanted, MissingWaitsAndCopiesAreSeen) {
  ASSERT_EQ(with_fault(Fault::kNone, Asynchronous::kLate), "");
  EXPECT_NE(with_fault(Fault::kNoCopyWait, Asynchronous::kLate), "");
  EXPECT_NE(with_fault(Fault::kLostCopy, Asynchronous::kRandom), "");
  EXPECT_NE(with_fault(Fault::kNoSyncThreads, Asynchronous::kLate), "");
}

std::string tampered(const std::function<void(Arguments &)> &tamper) {
  return run_emulated(decode_case(GA_F16, 1, 600, 4, 64), [&](const ga::Problem &p) {
    DecodeWorkspace workspace;
    return run_decode(p, small_ada(), {}, workspace, tamper);
  });
}

TEST(DecodePlanted, WrongCountsAndPartialResultsAreSeen) {
  ASSERT_EQ(tampered([](Arguments &a) { ASSERT_GT(a.splits, 2); }), "");
  EXPECT_NE(tampered([](Arguments &a) { a.arrived[1] = 1; }), "");     // a counter that was not set back
  EXPECT_NE(tampered([](Arguments &a) { a.unit_rows = 0; }), "");      // all splits in one place: one merged many times
  EXPECT_NE(tampered([](Arguments &a) { a.p.k.sequence /= 2; }), "");  // the wrong keys
  EXPECT_NE(tampered([](Arguments &a) { a.p.window_right = 5, a.p.window_left = 5; }), "");
}

}  // namespace
}  // namespace gatest
