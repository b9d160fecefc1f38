// Random calls over all options against float64, per instruction set.
//
// GA_RANDOM_CASES  calls on the best instruction set; a quarter of it on each other one (default 600)
// GA_RANDOM_SEED   the series of cases
// GA_CASE_SEED     runs the one case that a failure printed
// GA_MAX_FAILURES  stops after that many (default 5)

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "random_case.h"

namespace gatest {
namespace {

class RandomCases : public IsaTest {};

TEST_P(RandomCases, AgreeWithFloat64) {
  const auto series = static_cast<uint64_t>(setting("GA_RANDOM_SEED", 20260725));
  const auto single = static_cast<uint64_t>(setting("GA_CASE_SEED", 0));
  const int64_t best = setting("GA_RANDOM_CASES", 600);
  const int64_t cases = single != 0 ? 1 : GetParam() == best_isa() ? best : (best + 3) / 4;
  const RandomOptions options{setting("GA_CASE_BUDGET", 4'000'000), false};
  std::cout << ga_isa_name(GetParam()) << ": " << cases << " cases, GA_RANDOM_SEED=" << series << '\n';

  const Runtime runtimes[] = {Runtime(1, GetParam()), Runtime(2, GetParam()), Runtime(3, GetParam())};
  std::map<ga_dtype, ErrorBalance> balances;
  int64_t failures = 0;
  const int64_t most_failures = setting("GA_MAX_FAILURES", 5);
  for (int64_t n = 0; n < cases && failures < most_failures; ++n) {
    const uint64_t seed = single != 0 ? single : case_seed(series, n);
    const Case c = random_case(seed, options);
    announce_case(describe(c));
    const bool plain = c.pre_gate == GA_PRE_NONE;
    ErrorBalance *balance = plain ? &balances[c.dtype] : nullptr;
    const std::string failure = run_and_check(runtimes[n % 3].handle(), c, Placement::kRedZones, balance);
    if (!failure.empty()) ++failures;
    EXPECT_EQ(failure, "") << "GA_CASE_SEED=" << seed << " on " << ga_isa_name(GetParam());
  }
  for (const auto &[dtype, balance] : balances) {
    if (balance.elements == 0) continue;
    const double mean = balance.sum / balance.elements;
    const double outwards = balance.sum_outwards / balance.elements;
    std::cout << "  " << name_of(dtype) << ": largest error " << balance.largest << " of its bound, mean signed error "
              << mean << ", away from 0 " << outwards << " (" << balance.elements << " elements)\n";
    if (dtype == GA_F32 || balance.elements < 10'000) continue;
    EXPECT_LE(std::abs(mean), 0.1) << name_of(dtype);
    EXPECT_LE(std::abs(outwards), 0.1) << name_of(dtype);
  }
}

GA_FOR_EACH_ISA(RandomCases);

}  // namespace
}  // namespace gatest
