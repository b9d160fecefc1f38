// Random backward calls over all options against float64, per instruction set. Settings as in random_test.cpp;
// GA_BACKWARD_CASES is the number of cases on the best instruction set (default: GA_RANDOM_CASES).

#include <gtest/gtest.h>

#include <algorithm>
#include "backward_case.h"

#include "environment.h"
#include "isa_test.h"
#include "random.h"

namespace gatest {
namespace {

class BackwardRandomCases : public IsaTest {};

TEST_P(BackwardRandomCases, AgreeWithFloat64) {
  const auto series = static_cast<uint64_t>(setting("GA_RANDOM_SEED", 20260801));
  const auto single = static_cast<uint64_t>(setting("GA_CASE_SEED", 0));
  const int64_t best = setting("GA_BACKWARD_CASES", setting("GA_RANDOM_CASES", 600));
  const int64_t cases = single != 0 ? 1 : GetParam() == best_isa() ? best : (best + 3) / 4;
  const RandomOptions options{std::min<int64_t>(setting("GA_CASE_BUDGET", 4'000'000), 400'000), false};
  std::cout << ga_isa_name(GetParam()) << ": " << cases << " cases, GA_RANDOM_SEED=" << series << '\n';

  const Runtime runtimes[] = {Runtime(1, GetParam()), Runtime(2, GetParam()), Runtime(3, GetParam())};
  GradientErrors errors;
  int64_t failures = 0;
  const int64_t most_failures = setting("GA_MAX_FAILURES", 5);
  for (int64_t n = 0; n < cases && failures < most_failures; ++n) {
    const uint64_t seed = single != 0 ? single : case_seed(series, n);
    const Case c = random_backward_case(seed, options);
    announce_case(describe(c));
    const std::string failure = run_backward_and_check(runtimes[n % 3].handle(), c, Placement::kRedZones, &errors);
    if (!failure.empty()) ++failures;
    EXPECT_EQ(failure, "") << "GA_CASE_SEED=" << seed << " on " << ga_isa_name(GetParam());
  }
  std::cout << "  largest error of its bound:";
  for (const double largest : errors.largest) std::cout << ' ' << largest;
  std::cout << " (dq dk dv dgate dnorm_weight dsink)\n";
}

GA_FOR_EACH_ISA(BackwardRandomCases);

}  // namespace
}  // namespace gatest
