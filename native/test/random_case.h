// Random calls over every option of the operator, with odd sizes and layouts on purpose.
#pragma once

#include <cstdint>

#include "case.h"

namespace gatest {

struct RandomOptions {
  int64_t budget = 4'000'000;  // multiply-adds at most
  bool tight = false;          // no slack before the first or behind the last element of a block
};

// The same seed and options give the same case, contents included.
Case random_case(uint64_t seed, const RandomOptions &options);

}  // namespace gatest
