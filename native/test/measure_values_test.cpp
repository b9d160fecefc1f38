// Statistics of values against plain float64 loops.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "block.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "reference.h"
#include "shapes.h"

namespace gatest {
namespace {

struct Shaped {
  int64_t batch, seq;
  int32_t heads, dim;
  std::array<int64_t, 4> stride;
};

struct Statistics {
  std::vector<ga_value_statistics> of_head;
  std::vector<int64_t> histogram;
};

class MeasuresOfValues : public IsaTest {
 protected:
  static ga_values_params of(const ga_tensor &values, const Shaped &s, ga_activation activation, int32_t bins) {
    ga_values_params p{};
    p.struct_size = sizeof p;
    p.batch = s.batch;
    p.seq = s.seq;
    p.heads = s.heads;
    p.dim = s.dim;
    p.activation = activation;
    p.bins = bins;
    p.low = -0.5;
    p.high = 1.25;
    p.below = 0.1;
    p.above = 0.9;
    p.small = 1e-2;
    p.smaller = 1e-3;
    p.values = values;
    return p;
  }

  static Statistics run(ga_runtime runtime, ga_values_params p) {
    Statistics s;
    s.of_head.resize(static_cast<size_t>(p.heads));
    s.histogram.resize(static_cast<size_t>(p.heads) * static_cast<size_t>(p.bins));
    p.statistics = s.of_head.data();
    p.statistics_count = p.heads;
    p.histogram = s.histogram.data();
    p.histogram_count = static_cast<int64_t>(s.histogram.size());
    ga_error error{};
    EXPECT_EQ(ga_measure_values(runtime, &p, &error, nullptr), GA_OK) << error.message;
    return s;
  }

  const Runtime runtime_{2, GetParam()};
};

int64_t span_of(const Shaped &s) {
  return (s.batch - 1) * s.stride[0] + (s.seq - 1) * s.stride[1] + (s.heads - 1) * s.stride[2] +
         (s.dim - 1) * s.stride[3] + 1;
}

double value_at(const ga_tensor &t, int64_t b, int64_t i, int64_t h, int64_t d) {
  return load(t.dtype, static_cast<const std::byte *>(t.data) + element_offset(t, b, i, h, d) * size_of(t.dtype));
}

// Counts may differ by the values that lie within their error of a limit.
void compare(const Shaped &s, const ga_values_params &p, const Statistics &actual) {
  for (int64_t h = 0; h < s.heads; ++h) {
    const ga_value_statistics &got = actual.of_head[static_cast<size_t>(h)];
    std::vector<double> x;
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t i = 0; i < s.seq; ++i)
        for (int64_t d = 0; d < s.dim; ++d) x.push_back(activate(p.activation, value_at(p.values, b, i, h, d)));
    const auto n = static_cast<double>(x.size());
    double sum = 0, least = x[0], most = x[0], largest = 0, squares = 0;
    for (const double v : x) {
      sum += v;
      least = std::min(least, v);
      most = std::max(most, v);
      largest = std::max(largest, std::fabs(v));
    }
    for (const double v : x) squares += (v - sum / n) * (v - sum / n);
    const double error = 4e-7 * std::max(1.0, largest);
    EXPECT_EQ(got.count, static_cast<int64_t>(x.size()));
    EXPECT_EQ(got.nans, 0);
    EXPECT_NEAR(got.mean, sum / n, error);
    EXPECT_NEAR(got.standard_deviation, std::sqrt(squares / n), error);
    EXPECT_NEAR(got.min, least, error);
    EXPECT_NEAR(got.max, most, error);
    EXPECT_NEAR(got.largest, largest, error);
    const auto count = [&](int64_t exact, auto &&inside, const char *what) {
      int64_t low = 0, high = 0;
      for (const double v : x) {
        low += inside(v - error) && inside(v + error) && inside(v);
        high += inside(v - error) || inside(v + error) || inside(v);
      }
      EXPECT_GE(exact, low) << what;
      EXPECT_LE(exact, high) << what;
    };
    count(got.below, [&](double v) { return v < p.below; }, "below");
    count(got.above, [&](double v) { return v > p.above; }, "above");
    count(got.small, [&](double v) { return std::fabs(v) < p.small; }, "small");
    count(got.smaller, [&](double v) { return std::fabs(v) < p.smaller; }, "smaller");
    for (int32_t n_bin = 0; n_bin < p.bins; ++n_bin) {
      const double width = (p.high - p.low) / p.bins, from = p.low + n_bin * width;
      const bool last = n_bin == p.bins - 1;
      count(
          actual.histogram[static_cast<size_t>(h * p.bins + n_bin)],
          [&](double v) { return v >= from && (last ? v <= p.high : v < from + width); }, "histogram");
    }
  }
}

TEST_P(MeasuresOfValues, AgreeWithFloat64) {
  const std::vector<Shaped> all = {
      {1, 1, 1, 1, {1, 1, 1, 1}},         {2, 33, 3, 24, {2400, 72, 24, 1}}, {1, 300, 2, 1, {600, 2, 1, 1}},
      {2, 5, 4, 40, {0, 200, 50, 1}},     {3, 7, 2, 16, {56, 8, 4, 0}},      {1, 41, 1, 1003, {0, 1010, 0, 1}},
      {1, 700, 2, 128, {0, 256, 128, 1}},
  };
  for (const Shaped &s : all)
    for (const ga_dtype dtype : kFloatTypes)
      for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation) {
        if (s.dim == 128 && activation > GA_SILU) continue;
        Block block(span_of(s) * size_of(dtype), Placement::kGuardAfter);
        Random random(static_cast<uint64_t>(s.dim + activation));
        for (int64_t n = 0; n < span_of(s); ++n) store(dtype, block.data() + n * size_of(dtype), 2 * random.normal());
        const ga_tensor tensor = {
            block.data(), block.bytes(), {s.stride[0], s.stride[1], s.stride[2], s.stride[3]}, dtype, 0};
        const ga_values_params p = of(tensor, s, activation, 7);
        SCOPED_TRACE(name_of(dtype) + " activation " + std::to_string(activation) + " dim " + std::to_string(s.dim));
        const Statistics first = run(runtime_.handle(), p);
        compare(s, p, first);
        for (const int32_t threads : {1, 3}) {
          const Runtime other(threads, GetParam());
          const Statistics again = run(other.handle(), p);
          EXPECT_EQ(
              std::memcmp(again.of_head.data(), first.of_head.data(), first.of_head.size() * sizeof(first.of_head[0])),
              0);
          EXPECT_EQ(again.histogram, first.histogram);
        }
      }
}

TEST_P(MeasuresOfValues, HideNoNan) {
  const Shaped s = {1, 40, 2, 8, {640, 16, 8, 1}};
  std::vector<float> values(640, 0.5F);
  values[16 * 20 + 3] = std::numeric_limits<float>::quiet_NaN();
  const ga_tensor tensor = {values.data(), 640 * 4, {640, 16, 8, 1}, GA_F32, 0};
  const Statistics got = run(runtime_.handle(), of(tensor, s, GA_SIGMOID, 4));
  EXPECT_EQ(got.of_head[0].nans, 1);
  EXPECT_TRUE(std::isnan(got.of_head[0].mean) && std::isnan(got.of_head[0].min) && std::isnan(got.of_head[0].largest));
  EXPECT_EQ(got.of_head[1].nans, 0);
  EXPECT_NEAR(got.of_head[1].standard_deviation, 0, 1e-12);
  EXPECT_EQ(got.histogram[0] + got.histogram[1] + got.histogram[2] + got.histogram[3], 319);
}

TEST_P(MeasuresOfValues, OfNothingAreNan) {
  const Shaped s = {0, 4, 1, 8, {8, 8, 8, 1}};
  const ga_tensor tensor = {nullptr, 0, {8, 8, 8, 1}, GA_F32, 0};
  const Statistics got = run(runtime_.handle(), of(tensor, s, GA_TANH, 2));
  EXPECT_EQ(got.of_head[0].count, 0);
  EXPECT_TRUE(std::isnan(got.of_head[0].mean));
}

GA_FOR_EACH_ISA(MeasuresOfValues);

}  // namespace
}  // namespace gatest
