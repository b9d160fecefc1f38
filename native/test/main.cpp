#include <gtest/gtest.h>

#include "environment.h"

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  gatest::report_fatal_signals();
  return RUN_ALL_TESTS();
}
