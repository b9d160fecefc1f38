// Prefill by mma.sync and in f32, from the kernels' sources, against the float64 reference.

#include "forward_mma.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "emulated_call.h"
#include "environment.h"
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

TEST(ForwardMma, RandomCases) {
  const int64_t cases = setting("GA_EMULATED_CASES", 60);
  const int64_t budget = setting("GA_EMULATED_BUDGET", 400'000);
  ErrorBalance balance[3];
  for (int64_t n = 0; n < cases; ++n) {
    const Case c = random_case(case_seed(setting("GA_RANDOM_SEED", 5), n), {.budget = budget});
    announce_case(describe(c));
    Options options;
    options.asynchronous = kSchedules[n % 3];
    options.seed = static_cast<uint64_t>(n) + 1;
    ASSERT_EQ("", run_emulated(
                      c, [&](const ga::Problem &p) { return forward_mma(p, options, n % 2 ? 1 << 14 : 1 << 25); },
                      &balance[c.dtype]));
  }
}

}  // namespace
}  // namespace gatest
