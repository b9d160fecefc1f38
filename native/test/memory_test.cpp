// Not one byte beyond what an operand's elements take is touched: every block ends, or begins, at an inaccessible page.

#include <gtest/gtest.h>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

class GuardPages : public IsaTest {
 protected:
  static void expect_no_stray_access(Placement placement) {
    const Runtime runtime(2, GetParam());
    const int64_t cases = setting("GA_RANDOM_CASES", 600) / 10;
    for (int64_t n = 0; n < cases; ++n) {
      const Case c = random_case(case_seed(91, n), {.budget = 500'000, .tight = true});
      announce_case(describe(c));
      EXPECT_EQ(run_and_check(runtime.handle(), c, placement, nullptr), "");
    }
    for (const Shape &shape : shapes()) {
      for (const ga_dtype dtype : kFloatTypes) {
        const Case c = shaped_case(shape, dtype);
        announce_case(describe(c));
        EXPECT_EQ(run_and_check(runtime.handle(), c, placement, nullptr), "");
      }
    }
  }
};

TEST_P(GuardPages, NothingIsTouchedBehindAnOperand) { expect_no_stray_access(Placement::kGuardAfter); }

TEST_P(GuardPages, NothingIsTouchedBeforeAnOperand) { expect_no_stray_access(Placement::kGuardBefore); }

// Head dimensions that leave every remainder of a vector register, at lengths that leave every remainder of a block.
TEST_P(GuardPages, EveryRaggedTailStaysInside) {
  const Runtime runtime(1, GetParam());
  for (int32_t dim = 8; dim <= 136; dim += 8) {
    for (const int64_t keys : {1, 5, 17, 63, 66}) {
      const int64_t queries = dim % 16 == 0 ? keys : 1;
      const Case c = shaped_case({"", 1, queries, keys, 2, 1, dim, 144 - dim, true}, kFloatTypes[dim / 8 % 3]);
      announce_case(describe(c));
      EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kGuardAfter, nullptr), "");
    }
  }
}

GA_FOR_EACH_ISA(GuardPages);

}  // namespace
}  // namespace gatest
