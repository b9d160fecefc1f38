// Tests that run once for each instruction set of this machine.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "runtime.h"

namespace gatest {

class IsaTest : public testing::TestWithParam<ga_isa> {};

inline std::string isa_test_name(const testing::TestParamInfo<ga_isa> &info) { return ga_isa_name(info.param); }

}  // namespace gatest

#define GA_FOR_EACH_ISA(suite) \
  INSTANTIATE_TEST_SUITE_P(EachIsa, suite, testing::ValuesIn(gatest::available_isas()), gatest::isa_test_name)
