// The end of a row on a GPU (src/cuda/gate.cuh): numbers, activations, sinks.

#include "cuda/gate.cuh"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "number.h"
#include "reference.h"

namespace gatest {
namespace {

using namespace ga::cuda;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr ga_activation kActivations[] = {GA_SIGMOID,     GA_SILU,     GA_IDENTITY, GA_NS_SIGMOID,
                                          GA_TWO_SIGMOID, GA_SOFTPLUS, GA_TANH};

TEST(CudaGate, SixteenBitNumbersWidenExactly) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto u = static_cast<uint16_t>(bits);
    const float x = widen(ga::f16{u}), y = widen(ga::bf16{u});
    if (float_of_f16(u) == float_of_f16(u)) {
      ASSERT_EQ(std::bit_cast<uint32_t>(x), std::bit_cast<uint32_t>(float_of_f16(u)));
    } else {
      ASSERT_TRUE(std::isnan(x));
    }
    if (float_of_bf16(u) == float_of_bf16(u)) {
      ASSERT_EQ(std::bit_cast<uint32_t>(y), std::bit_cast<uint32_t>(float_of_bf16(u)));
    } else {
      ASSERT_TRUE(std::isnan(y));
    }
  }
}

TEST(CudaGate, NumbersNarrowToTheNearest) {
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 9973) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(widen(narrow<ga::f16>(x))) && std::isnan(widen(narrow<ga::bf16>(x))));
      continue;
    }
    ASSERT_EQ(narrow<ga::f16>(x).bits, f16_of_float(x)) << x;
    ASSERT_EQ(narrow<ga::bf16>(x).bits, bf16_of_float(x)) << x;
    ASSERT_EQ(narrow_pair<ga::f16>(x, 1), f16_of_float(x) | 0x3c000000U);
    ASSERT_EQ(narrow_pair<ga::bf16>(1, x), 0x3f80U | static_cast<uint32_t>(bf16_of_float(x)) << 16);
  }
}

TEST(CudaGate, ActivationsAgreeWithFloat64) {
  for (const ga_activation a : kActivations) {
    for (float g = -85; g < 85; g += 0.00731F) {
      const double expected = gatest::activate(a, static_cast<double>(g));
      const double size = std::fabs(expected);
      ASSERT_NEAR(ga::cuda::activate<kFine>(a, g), expected, 1.6 * 0x1p-23 * size) << a << " of " << g;
      ASSERT_NEAR(ga::cuda::activate<kCoarse>(a, g), expected, 1e-5 * size) << a << " of " << g;
    }
  }
}

TEST(CudaGate, ActivationsHaveTheirLimitsAtInfinity) {
  const float up[] = {1, INFINITY, INFINITY, 1, 2, INFINITY, 1}, down[] = {0, 0, -INFINITY, 0.5F, 0, 0, -1};
  for (size_t n = 0; n < std::size(kActivations); ++n) {
    for (const float g : {INFINITY, -INFINITY, 3e38F, -3e38F}) {
      const float limit = g > 0 ? up[n] : down[n];
      if (std::isinf(limit) && !std::isinf(g)) continue;
      EXPECT_EQ(ga::cuda::activate<kFine>(kActivations[n], g), limit) << kActivations[n] << " of " << g;
      EXPECT_EQ(ga::cuda::activate<kCoarse>(kActivations[n], g), limit) << kActivations[n] << " of " << g;
    }
    EXPECT_TRUE(std::isnan(ga::cuda::activate<kFine>(kActivations[n], kNan)));
    EXPECT_TRUE(std::isnan(ga::cuda::activate<kCoarse>(kActivations[n], kNan)));
  }
}

TEST(CudaGate, SinksShareTheDenominator) {
  for (float sink = -400; sink < 400; sink += 1.7F) {
    for (float maximum = -300; maximum < 300; maximum += 7.3F) {
      const Denominator row = with_sink(sink, 3.3F, maximum, true);
      const long double keys = 3.3F * std::exp2(static_cast<long double>(maximum)),
                        other = std::exp(static_cast<long double>(sink));
      const auto share = static_cast<double>(keys / (keys + other)), lse = static_cast<double>(std::log(keys + other));
      ASSERT_EQ(row.keys, 1 / 3.3F);
      ASSERT_NEAR(row.share, share, 2 * 0x1p-23 * share + 0x1p-146) << sink << ' ' << maximum;
      ASSERT_NEAR(row.lse, lse, 1e-6 + 1e-6 * std::fabs(lse)) << sink << ' ' << maximum;
    }
  }
}

TEST(CudaGate, RowsWithoutKeysAndStrangeSinks) {
  EXPECT_EQ(row_factor(without_sink(0, -INFINITY, true)), 0);
  EXPECT_EQ(without_sink(0, -INFINITY, true).lse, -INFINITY);
  EXPECT_TRUE(std::isnan(row_factor(without_sink(kNan, 1, true))) && std::isnan(without_sink(kNan, 1, true).lse));
  EXPECT_EQ(row_factor(with_sink(2.5F, 0, -INFINITY, true)), 0);
  EXPECT_EQ(with_sink(2.5F, 0, -INFINITY, true).lse, 2.5F);
  EXPECT_EQ(with_sink(-INFINITY, 2, 1, true).share, 1);
  EXPECT_EQ(row_factor(with_sink(3e38F, 2, 1, true)), 0);
  EXPECT_EQ(with_sink(3e38F, 2, 1, true).lse, 3e38F);
  for (const float sink : {kNan, INFINITY}) {
    for (const float sum : {0.0F, 2.0F}) {
      const Denominator row = with_sink(sink, sum, sum == 0 ? -INFINITY : 1, true);
      EXPECT_TRUE(std::isnan(row_factor(row)) && std::isnan(row.lse)) << sink << ' ' << sum;
    }
  }
}

TEST(CudaGate, NormsOfRows) {
  ga::Output p{};
  p.head_dim_v = 4;
  p.norm_eps = 0.5F;
  // y = (2, 0, 0, 0) / 4 with a denominator of 4: mean of squares 1/16
  EXPECT_FLOAT_EQ(norm_factor(p, {0.25F, 1, 0}, 0.25F), 0.25F / std::sqrt(0.0625F + 0.5F));
  // half of the probability is the sink's: the row is half as large, the square's mean a quarter
  EXPECT_FLOAT_EQ(norm_factor(p, {0.25F, 0.5F, 0}, 0.25F), 0.125F / std::sqrt(0.015625F + 0.5F));
  EXPECT_EQ(norm_factor(p, {0, 1, 0}, 0), 0);
  p.norm_eps = 0;
  EXPECT_EQ(norm_factor(p, {0.25F, 1, 0}, 0), 0);
  EXPECT_FLOAT_EQ(norm_factor(p, {0.25F, 1e-40F, 0}, 0.25F), 1);
}

}  // namespace
}  // namespace gatest
