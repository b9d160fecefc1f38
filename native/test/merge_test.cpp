// Attention over parts of the keys, merged, is attention over all of them; and what merging does at its edges.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "environment.h"
#include "isa_test.h"
#include "number.h"
#include "partials.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

class Merges : public IsaTest {
 protected:
  void merge(const ga_merge_params &params) const {
    ga_error error{};
    ASSERT_EQ(ga_attention_merge(runtime_.handle(), &params, &error), GA_OK) << error.message;
  }

  // Empty when merging gives what float64 says of the unsplit call, and touches nothing else.
  std::string difference(const Case &c, const std::vector<int64_t> &borders) const {
    Instance whole(c);
    const Reference reference = reference_forward(whole.params);
    Partials partials(whole, borders);
    const std::string refused = partials.run(runtime_.handle());
    if (!refused.empty()) return refused;
    merge(partials.params);
    std::string failure = compare(whole, reference, nullptr);
    if (failure.empty()) failure = whole.untouched_elsewhere();
    if (failure.empty()) failure = partials.untouched();
    return failure.empty() ? "" : failure + "\n  " + std::to_string(partials.count()) + " parts of " + describe(c);
  }

  const Runtime runtime_{2, GetParam()};
};

TEST_P(Merges, OfPartsOfRandomCallsAgreeWithFloat64) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 3;
  const int64_t budget = std::min<int64_t>(setting("GA_CASE_BUDGET", 1'000'000), 1'000'000);
  int64_t split = 0;
  for (int64_t n = 0; n < cases; ++n) {
    const Case c = random_case(case_seed(31, n), {.budget = budget});
    if (!can_split(c)) continue;
    announce_case(describe(c));
    ++split;
    EXPECT_EQ(difference(c, random_parts(c)), "");
  }
  EXPECT_GT(split, cases / 4);
}

TEST_P(Merges, OfPartsOfEveryShapeAgreeWithFloat64) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype, {.sink = true});
      const int64_t keys = c.seq_k;
      EXPECT_EQ(difference(c, {0, keys}), "");
      EXPECT_EQ(difference(c, {0, keys / 3, keys}), "");
      EXPECT_EQ(difference(c, {0, keys / 5, keys / 2, keys / 2, keys - keys / 7, keys}), "");
    }
  }
}

TEST_P(Merges, GiveTheSameBitsForAnyNumberOfThreads) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Instance whole(shaped_case(shape, dtype, {.sink = true}));
      Partials partials(whole, {0, shape.seq_k / 4, shape.seq_k / 2, shape.seq_k});
      ASSERT_EQ(partials.run(runtime_.handle()), "");
      merge(partials.params);
      const std::vector<std::byte> out = whole.out_bits();
      const std::vector<std::byte> lse = whole.lse_bits();
      for (const int32_t threads : {1, 3, 5}) {
        const Runtime runtime(threads, GetParam());
        ASSERT_EQ(ga_attention_merge(runtime.handle(), &partials.params, nullptr), GA_OK);
        EXPECT_EQ(whole.out_bits(), out) << threads << " threads: " << describe(whole.description());
        EXPECT_EQ(whole.lse_bits(), lse) << threads << " threads: " << describe(whole.description());
      }
    }
  }
}

// Every type of partial results makes every type of output: what f32 gives, rounded.
TEST_P(Merges, ConvertBetweenTypes) {
  for (const ga_dtype dtype : kFloatTypes) {
    const Case c = shaped_case({"", 2, 7, 90, 4, 2, 64, 72, true}, dtype);
    const Instance whole(c);
    Partials partials(whole, {0, 40, 90});
    ASSERT_EQ(partials.run(runtime_.handle()), "");
    const auto merged = [&](ga_dtype to) {
      Case other = c;
      other.out = own_block(other, to, c.out.extent);
      const Instance result(other);
      ga_merge_params params = partials.params;
      params.gate = {};
      params.out = result.params.out;
      merge(params);
      return load(to, result.address(other.out, 1, 6, 3, 71));
    };
    for (const ga_dtype to : kFloatTypes) EXPECT_EQ(merged(to), rounded(to, merged(GA_F32)));
  }
}

class MergedRows : public Merges {
 protected:
  MergedRows()
      : whole_(shaped_case({"", 1, 3, 30, 2, 1, 64, 64, false}, GA_F32, {.sink = true})), partials_(whole_, {0, 9, 30}) {
    EXPECT_EQ(partials_.run(runtime_.handle()), "");
    partials_.params.sink = {};
  }

  // Row 2 of head 1 in one part: its log-sum-exp, and all of its values.
  void set_row(size_t part, float lse, double value) {
    partials_.lse(part)[5] = lse;
    for (int64_t d = 0; d < 64; ++d) store(GA_F32, partials_.out(part) + (5 * 64 + d) * 4, value);
  }

  double out(int64_t i, int64_t h) const { return load(GA_F32, whole_.address(whole_.description().out, 0, i, h, 63)); }
  double lse(int64_t i, int64_t h) const { return load(GA_F32, whole_.address(whole_.description().lse, 0, i, h, 0)); }

  Instance whole_;
  Partials partials_;
};

TEST_P(MergedRows, IgnorePartsThatSawNoKey) {
  partials_.params.gate = {};
  set_row(0, 1.5F, 0.75);
  set_row(1, -kInfinity, kNan);
  merge(partials_.params);
  EXPECT_FLOAT_EQ(static_cast<float>(out(2, 1)), 0.75F);
  EXPECT_FLOAT_EQ(static_cast<float>(lse(2, 1)), 1.5F);
}

TEST_P(MergedRows, AreZeroWhereNoPartSawAKey) {
  set_row(0, -kInfinity, kNan);
  set_row(1, -kInfinity, kNan);
  merge(partials_.params);
  EXPECT_EQ(out(2, 1), 0);
  EXPECT_EQ(lse(2, 1), -kInfinity);
  partials_.params.sink = whole_.params.sink;
  merge(partials_.params);
  EXPECT_EQ(out(2, 1), 0);
  EXPECT_EQ(lse(2, 1), load(GA_F32, whole_.address(whole_.description().sink, 0, 0, 1, 0)));
}

TEST_P(MergedRows, AreNanWhereAPartIs) {
  for (const bool of_lse : {true, false}) {
    set_row(0, of_lse ? static_cast<float>(kNan) : 1, of_lse ? 1 : kNan);
    set_row(1, 2, 1);
    merge(partials_.params);
    EXPECT_TRUE(std::isnan(out(2, 1)));
    EXPECT_EQ(std::isnan(lse(2, 1)), of_lse);
    EXPECT_TRUE(std::isfinite(out(2, 0)) && std::isfinite(out(1, 1)) && std::isfinite(lse(1, 1)));
  }
}

// The weights are those of exp(lse), however large: 88 would overflow, and 1000 is beyond any exponent.
TEST_P(MergedRows, KeepTheWeightsOfLargeLogSumExps) {
  partials_.params.gate = {};
  for (const float size : {90.0F, 1000.0F, -1000.0F}) {
    set_row(0, size, 1);
    set_row(1, size + 1, 3);
    merge(partials_.params);
    EXPECT_NEAR(out(2, 1), (1 + 3 * std::exp(1.0)) / (1 + std::exp(1.0)), 1e-6);
    EXPECT_NEAR(lse(2, 1), static_cast<double>(size) + std::log1p(std::exp(1.0)), 1e-5 * std::abs(size));
  }
}

GA_FOR_EACH_ISA(Merges);
GA_FOR_EACH_ISA(MergedRows);

}  // namespace
}  // namespace gatest
