// Prefill by mma.sync and in f32, from the kernels' sources, against the float64 reference.

#include "forward_mma.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/forward_mma/choice.h"
#include "emulated_call.h"
#include "environment.h"
#include "lengths.h"
#include "number.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

using gaemu::Asynchronous;
using gaemu::Fault;
using gaemu::Options;

constexpr Asynchronous kSchedules[] = {Asynchronous::kEager, Asynchronous::kRandom, Asynchronous::kLate};
constexpr ga_dtype kSixteenBits[] = {GA_BF16, GA_F16};
constexpr int64_t kL2 = 1 << 25;

std::string check(const Case &c, const Options &options = {}, ErrorBalance *balance = nullptr) {
  announce_case(describe(c));
  return run_emulated(c, [&](const ga::Problem &p) { return forward_mma(p, options, kL2); }, balance);
}

TEST(ForwardMma, RandomCases) {
  const int64_t cases = setting("GA_EMULATED_CASES", 400);
  const int64_t budget = setting("GA_EMULATED_BUDGET", 300'000);
  ErrorBalance balances[3];
  for (int64_t n = 0; n < cases; ++n) {
    const uint64_t seed = case_seed(static_cast<uint64_t>(setting("GA_RANDOM_SEED", 5)), n);
    const Case c = random_case(seed, {.budget = budget});
    Options options;
    options.asynchronous = kSchedules[n % 3];
    options.seed = static_cast<uint64_t>(n) + 1;
    ASSERT_EQ("", check(c, options, c.pre_gate == GA_PRE_NONE ? &balances[c.dtype] : nullptr)) << "seed " << seed;
  }
  for (const ga_dtype dtype : kSixteenBits) {
    const ErrorBalance &balance = balances[dtype];
    if (balance.elements < 10'000) continue;
    EXPECT_LE(std::abs(balance.sum / balance.elements), 0.1) << name_of(dtype);
    EXPECT_LE(std::abs(balance.sum_outwards / balance.elements), 0.1) << name_of(dtype);
  }
}

// Rows that cp.async copies, every tiling, every end of a row that goes out in 16 bytes at once. Two blocks of rows, the last
// one not full, and enough keys for the ring to go round.
Case aligned_case(int32_t dim, ga_dtype dtype, bool causal, int gate) {
  Case c = shaped_case({"aligned", 1, dim <= 128 ? 75 : 40, 205, 4, 2, dim, dim, causal}, dtype, {.gate = gate > 0});
  if (gate == 1) c.gate.stride[3] = 0;  // head-wise: element 0 of each row stands for all of them
  if (gate == 1) c.activation = GA_TANH;
  if (gate == 1) c.gate.extent[3] = 1;
  if (gate == 3) c.out = c.gate;
  if (gate == 4) c.out = c.q;
  return c;
}

TEST(ForwardMma, AlignedRowsOfEveryTiling) {
  int n = 0;
  for (const int32_t dim : {64, 96, 128, 192, 256}) {
    for (int gate = 0; gate < 5; ++gate, ++n) {
      const Case c = aligned_case(dim, kSixteenBits[n % 2], n % 3 != 0, gate);
      Options options;
      options.asynchronous = kSchedules[n % 3];
      const auto kernel = [&](const ga::Problem &p) -> std::string {
        if (!ga::cuda::prefill::rows_aligned(p.k) || !ga::cuda::prefill::rows_aligned(p.q)) return "not aligned";
        if (ga::cuda::prefill::choose(p).columns != dim) return "another tiling";
        return forward_mma(p, options, kL2);
      };
      ASSERT_EQ("", run_emulated(c, kernel)) << "gate " << gate;
    }
  }
}

TEST(ForwardMma, WindowsSkipKeysAtBothEnds) {
  int n = 0;
  for (const ga_dtype dtype : kFloatTypes) {
    for (const int64_t left : {0, 3, 70}) {
      for (const int64_t right : {0, 5, 100}) {
        Case c = shaped_case({"window", 1, 140, 180, 1, 1, 64, 64, false}, dtype);
        c.window_left = left;
        c.window_right = right;
        c.poison = true;
        Options options;
        options.asynchronous = kSchedules[n++ % 3];
        ASSERT_EQ("", check(c, options));
      }
    }
  }
}

// Whenever copies land, results have the same bits.
TEST(ForwardMma, BitsDoNotDependOnWhenCopiesLand) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Case c = shaped_case({"schedules", 2, 70, 150, 2, 1, 64, 64, true}, dtype);
    std::vector<std::byte> expected;
    for (const Asynchronous schedule : kSchedules) {
      const Instance instance(c);
      ga::Problem p;
      ASSERT_EQ("", problem_of(instance.params, p));
      Options options;
      options.asynchronous = schedule;
      options.blocks = gaemu::Blocks::kInterleaved;
      // Another order of the blocks each time, too.
      ASSERT_EQ("", forward_mma(p, options, schedule == Asynchronous::kLate ? 1 : kL2));
      if (expected.empty()) expected = instance.out_bits();
      EXPECT_EQ(expected, instance.out_bits());
    }
  }
}

// ---- what a row may not see never touches it

void fill_row(const Instance &instance, const View &view, int64_t key, double value) {
  for (int64_t d = 0; d < view.extent[3]; ++d) store(view.dtype, instance.address(view, 0, key, 0, d), value);
}

void expect_reached(const Case &c, int64_t key, double value, bool of_k, int64_t first, int64_t last) {
  const Instance clean(c), spoiled(c);
  fill_row(spoiled, of_k ? c.k : c.v, key, value);
  for (const Instance *instance : {&clean, &spoiled}) {
    ga::Problem p;
    ASSERT_EQ("", problem_of(instance->params, p));
    ASSERT_EQ("", forward_mma(p));
  }
  for (int64_t i = 0; i < c.seq_q; ++i) {
    for (int64_t d = 0; d < c.head_dim_v; ++d) {
      const double result = load(c.dtype, spoiled.address(c.out, 0, i, 0, d));
      const double expected = load(c.dtype, clean.address(c.out, 0, i, 0, d));
      const bool right = i < first || i > last ? result == expected
                         : std::isnan(value)   ? std::isnan(result)
                                               : !std::isfinite(result);
      ASSERT_TRUE(right) << (of_k ? "k " : "v ") << key << " is " << value << ", out[" << i << ", " << d << "] is "
                         << result << ", without it " << expected << ": " << describe(c);
    }
  }
}

TEST(ForwardMma, NotANumberReachesTheRowsThatSeeItAndNoOthers) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN(), kInfinity = std::numeric_limits<double>::infinity();
  for (const ga_dtype dtype : kFloatTypes) {
    for (const int32_t dim : {40, 192}) {
      Case c = shaped_case({"one block", 1, 70, 70, 1, 1, dim, dim, true}, dtype);
      for (const int64_t key : {0, 31, 33, 64, 69}) {
        expect_reached(c, key, kNan, true, key, 69);
        expect_reached(c, key, kNan, false, key, 69);
        expect_reached(c, key, -kInfinity, false, key, 69);
      }
      c.window_left = 10;
      for (const int64_t key : {5, 40}) expect_reached(c, key, kNan, false, key, key + 10);
    }
  }
}

// ---- lengths that the host could not check

// Values out of range count as the nearest allowed ones, and nothing outside of the outputs is written.
TEST(ForwardMma, LengthsThatMakeNoSenseDoNoHarm) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  Random random(3);
  for (int n = 0; n < 60; ++n) {
    const bool packed = n % 2 == 0;
    Case c = shaped_case({"senseless", packed ? 1 : 5, 60, 70, 2, 1, 64, 64, n % 3 == 0}, kFloatTypes[n % 3]);
    Instance instance(c);
    instance.params.batch = 5;
    std::vector<int32_t> of_queries, of_keys, starts;
    for (std::vector<int32_t> *values : {&of_queries, &of_keys, &starts})
      for (int i = 0; i < 6; ++i) values->push_back(random.pick<int32_t>({-kMost, -1, 0, 7, 59, 60, 70, 71, 500, kMost}));
    (packed ? instance.params.cu_seqlens_q : instance.params.query_lengths) = numbers(of_queries);
    (packed ? instance.params.cu_seqlens_k : instance.params.key_lengths) = numbers(of_keys);
    if (!packed) instance.params.key_starts = numbers(starts);
    ga::Problem p;
    ASSERT_EQ("", problem_of(instance.params, p));
    ASSERT_EQ("", forward_mma(p));
    ASSERT_EQ("", instance.untouched_elsewhere());
  }
}

// Each counts as the nearest page there is.
TEST(ForwardMma, PagesThatMakeNoSenseDoNoHarm) {
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  for (const ga_dtype dtype : kFloatTypes) {
    Instance instance(shaped_case({"paged", 1, 70, 64, 2, 1, 64, 64, true}, dtype));
    ga_attention_params &params = instance.params;
    params.page_size = 16;
    params.pages = 4;
    for (ga_tensor *tensor : {&params.k, &params.v}) tensor->stride[0] = 16 * tensor->stride[1];
    std::vector<std::vector<std::byte>> bits;
    for (std::vector<int32_t> table : {std::vector<int32_t>{0, 3, 0, 3}, std::vector<int32_t>{-1, 4, -kMost, kMost}}) {
      params.block_table = numbers(table, 4);
      ga::Problem p;
      ASSERT_EQ("", problem_of(params, p));
      ASSERT_EQ("", forward_mma(p));
      bits.push_back(instance.out_bits());
    }
    EXPECT_EQ(bits[0], bits[1]);
  }
}

// ---- the same bugs in the kernels would be seen

TEST(ForwardMma, PlantedBugsAreCaught) {
  for (const ga_dtype dtype : kSixteenBits) {
    for (const int32_t dim : {64, 256}) {
      const Case c = aligned_case(dim, dtype, true, 2);
      for (const Fault fault : {Fault::kNoCopyWait, Fault::kLostCopy}) {
        Options options;
        options.asynchronous = Asynchronous::kLate;
        options.fault = fault;
        EXPECT_NE("", check(c, options)) << static_cast<int>(fault);
      }
      for (const int every : {1, 3}) {  // sometimes is worse than never
        Options options;
        options.asynchronous = Asynchronous::kLate;
        options.fault = Fault::kNoSyncThreads;
        options.fault_every = every;
        EXPECT_NE("", check(c, options)) << "every " << every;
      }
    }
  }
  // Plain copies through registers, which other threads see after a barrier alone.
  Options options;
  options.fault = Fault::kNoSyncThreads;
  EXPECT_NE("", check(shaped_case({"f32", 1, 40, 100, 1, 1, 64, 64, true}, GA_F32), options));
}

// The kernels' own few instructions for it say what core/mask.h says.
TEST(ForwardMma, RowsSeeTheKeysOfTheMask) {
  using namespace ga::cuda::prefill;
  Random random(11);
  for (int n = 0; n < 20'000; ++n) {
    ga::Problem p{};
    p.batch = p.heads_kv = p.heads_q = p.group = 1;
    const bool far = random.chance(0.2);
    p.seq_q = far ? int64_t{1} << 30 : random.between(1, 300);
    p.seq_k = far && random.chance(0.5) ? int64_t{1} << 30 : random.between(0, 300);
    p.window_left = random.pick<int64_t>({-1, 0, 5, 70, int64_t{1} << 40});
    p.window_right = random.pick<int64_t>({-1, 0, 6, 90, int64_t{1} << 40});
    const Tasks tasks = tasks_of(p, 64, kL2);
    const Place place = place_of(p, tasks, 64, random.below(tasks.count));
    const int64_t i = random.between(place.row0, std::min<int64_t>(place.row0 + 63, p.seq_q - 1));
    const int64_t first = random.between(0, std::max<int64_t>(1, p.seq_k));
    const ga::KeyRange expected = ga::visible_keys(p, place.of, i);
    const Seen seen = seen_keys(place, static_cast<int32_t>(i), static_cast<int32_t>(first), 32);
    for (int64_t key = first; key < first + 32; ++key) {
      const bool sees = key - first >= seen.lo && key - first < seen.hi;
      ASSERT_EQ(sees, key >= expected.lo && key < expected.hi) << "query " << i << " of " << p.seq_q << ", key " << key;
      ASSERT_TRUE(!sees || (key >= place.first_key && key < place.end_key));
      ASSERT_TRUE(sees || key < place.all_first || key >= place.all_end);
    }
    const Seen nothing = seen_keys(place, kNoQuery, static_cast<int32_t>(first), 32);
    ASSERT_GE(nothing.lo, nothing.hi);
  }
}

// ---- which kernel does what

TEST(ForwardMma, ChoosesTheSmallestKernelThatFits) {
  struct Expected {
    ga_dtype q, k;
    int32_t head_dim, head_dim_v;
    bool tensor_cores;
    int columns;
  };
  for (const Expected &e :
       {Expected{GA_BF16, GA_BF16, 8, 8, true, 64}, Expected{GA_F16, GA_F16, 64, 72, true, 96},
        Expected{GA_BF16, GA_BF16, 192, 128, true, 192}, Expected{GA_F16, GA_F16, 256, 8, true, 256},
        Expected{GA_BF16, GA_BF16, 264, 64, false, 512}, Expected{GA_BF16, GA_I8, 64, 64, false, 512},
        Expected{GA_F32, GA_F32, 512, 128, false, 128}, Expected{GA_F32, GA_BF16, 64, 136, false, 256},
        Expected{GA_F32, GA_F32, 64, 512, false, 512}}) {
    ga::Problem p{};
    p.q.dtype = e.q;
    p.k.dtype = e.k;
    p.head_dim = e.head_dim;
    p.head_dim_v = e.head_dim_v;
    const ga::cuda::prefill::Choice choice = ga::cuda::prefill::choose(p);
    EXPECT_EQ(choice.tensor_cores, e.tensor_cores) << e.head_dim << ", " << e.head_dim_v;
    EXPECT_EQ(choice.columns, e.columns) << e.head_dim << ", " << e.head_dim_v;
  }
}

TEST(ForwardMma, RefusesWhatItCannotCount) {
  ga::Problem p{};
  p.batch = p.heads_kv = p.group = 1;
  p.seq_q = p.seq_k = int64_t{1} << 30;
  EXPECT_EQ(nullptr, ga::cuda::prefill::too_large(p, 128));
  p.seq_k = (int64_t{1} << 30) + 1;
  EXPECT_STREQ("more than 2^30 keys are not in the mma.sync kernels", ga::cuda::prefill::too_large(p, 128));
  p.seq_k = 1;
  p.group = 2;
  EXPECT_STREQ("more than 2^30 query rows per key/value head are not in the mma.sync kernels",
               ga::cuda::prefill::too_large(p, 128));
  p.group = 1;
  p.batch = 1000;
  EXPECT_STREQ("a launch of more than 2^30 tiles is not in the mma.sync kernels", ga::cuda::prefill::too_large(p, 128));
}

}  // namespace
}  // namespace gatest
