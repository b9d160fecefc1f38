// The merge of partial results on a GPU against float64.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "abi/validate.h"
#include "emulated_decode.h"
#include "environment.h"
#include "number.h"
#include "partials.h"
#include "random.h"
#include "random_case.h"
#include "reference.h"
#include "runtime.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::string merge(const ga_merge_params &params) {
  ga::Merge m;
  ga::Refusal no;
  if (!ga::check_merge(&params, m, no)) return "refused";
  return run_merge(m, {});
}

class DecodeMerge : public testing::Test {
 protected:
  // Empty when merging gives what float64 says of the unsplit call, and touches nothing else. Partials come from the CPU.
  std::string difference(const Case &c, const std::vector<int64_t> &borders) const {
    Instance whole(c);
    const Reference reference = reference_forward(whole.params);
    Partials partials(whole, borders);
    std::string failure = partials.run(runtime_.handle());
    if (failure.empty()) failure = merge(partials.params);
    if (failure.empty()) failure = compare(whole, reference, nullptr);
    if (failure.empty()) failure = whole.untouched_elsewhere();
    if (failure.empty()) failure = partials.untouched();
    return failure.empty() ? "" : failure + "\n  " + describe(c);
  }

  const Runtime runtime_{1, GA_ISA_COUNT};
};

TEST_F(DecodeMerge, OfPartsOfRandomCallsAgreesWithFloat64) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300) / 2;
  int64_t split = 0;
  for (int64_t n = 0; n < cases; ++n) {
    const Case c = random_case(case_seed(31, n), {.budget = 200'000});
    if (!can_split(c)) continue;
    announce_case(describe(c));
    ++split;
    ASSERT_EQ(difference(c, random_parts(c)), "");
  }
  EXPECT_GT(split, cases / 4);
}

TEST_F(DecodeMerge, IgnoresPartsThatSawNoKeyAndKeepsLargeWeights) {
  const Case c = shaped_case({"", 1, 1, 30, 1, 1, 64, 64, false}, GA_F32);
  const Instance whole(c);
  Partials partials(whole, {0, 9, 30});
  ASSERT_EQ(partials.run(runtime_.handle()), "");
  partials.params.gate = {};
  const auto set = [&](size_t part, float lse, double value) {
    partials.lse(part)[0] = lse;
    for (int64_t d = 0; d < 64; ++d) store(GA_F32, partials.out(part) + d * 4, value);
  };
  const auto out = [&] { return load(GA_F32, whole.address(c.out, 0, 0, 0, 63)); };
  const auto lse = [&] { return load(GA_F32, whole.address(c.lse, 0, 0, 0, 0)); };
  set(0, 1.5F, 0.75);
  set(1, -kInfinity, std::numeric_limits<double>::quiet_NaN());
  ASSERT_EQ(merge(partials.params), "");
  EXPECT_FLOAT_EQ(static_cast<float>(out()), 0.75F);
  EXPECT_FLOAT_EQ(static_cast<float>(lse()), 1.5F);
  set(0, -kInfinity, 7);
  ASSERT_EQ(merge(partials.params), "");
  EXPECT_EQ(out(), 0);
  EXPECT_EQ(lse(), -kInfinity);
  for (const float size : {90.0F, 1000.0F, -1000.0F}) {
    set(0, size, 1);
    set(1, size + 1, 3);
    ASSERT_EQ(merge(partials.params), "");
    EXPECT_NEAR(out(), (1 + 3 * std::exp(1.0)) / (1 + std::exp(1.0)), 1e-6);
    EXPECT_NEAR(lse(), static_cast<double>(size) + std::log1p(std::exp(1.0)), 1e-5 * std::abs(size));
  }
  set(0, std::numeric_limits<float>::quiet_NaN(), 1);
  ASSERT_EQ(merge(partials.params), "");
  EXPECT_TRUE(std::isnan(out()) && std::isnan(lse()));
}

}  // namespace
}  // namespace gatest
