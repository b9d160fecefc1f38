// Measurements of attention against float64 that holds the whole matrix of probabilities; and what no matrix could hold.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "key_cache.h"
#include "number.h"
#include "random.h"
#include "random_case.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr double kEps32 = 0x1p-23;
using Range = std::array<int64_t, 2>;

// What a call measured: results, or the bounds of their errors.
struct Numbers {
  std::vector<double> share, entropy, map;
  std::vector<int64_t> rows;
};

struct Wanted {
  std::vector<Range> ranges;
  int32_t cells = 0;
};

int64_t map_rows(const ga_attention_params &p, int32_t cells) {
  return p.seq_k > 0 ? std::min<int64_t>(cells, p.seq_q) : 0;
}
int64_t map_columns(const ga_attention_params &p, int32_t cells) { return std::min<int64_t>(cells, p.seq_k); }

Numbers sized(const ga_attention_params &p, const Wanted &wanted) {
  const auto heads = static_cast<size_t>(p.batch * p.heads_q);
  Numbers n;
  n.share.assign(heads * wanted.ranges.size(), 0);
  n.entropy.assign(heads, 0);
  n.map.assign(heads * static_cast<size_t>(map_rows(p, wanted.cells) * map_columns(p, wanted.cells)), 0);
  n.rows.assign(static_cast<size_t>(p.batch), 0);
  return n;
}

ga_measure_params measurement(const ga_attention_params &p, const Wanted &wanted, Numbers &to) {
  ga_measure_params m{};
  m.struct_size = sizeof m;
  m.attention = &p;
  m.ranges = wanted.ranges.empty() ? nullptr : wanted.ranges.front().data();
  m.range_count = static_cast<int32_t>(wanted.ranges.size());
  m.map_cells = wanted.cells;
  m.share = to.share.data();
  m.entropy = to.entropy.data();
  m.map = to.map.data();
  m.rows = to.rows.data();
  m.share_count = static_cast<int64_t>(to.share.size());
  m.entropy_count = static_cast<int64_t>(to.entropy.size());
  m.map_count = static_cast<int64_t>(to.map.size());
  m.rows_count = static_cast<int64_t>(to.rows.size());
  return m;
}

ga_status measure(ga_runtime runtime, const ga_measure_params &m, ga_error *error) {
  return ga_attention_measure(runtime, &m, error, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                              nullptr, nullptr);
}

Numbers measured(ga_runtime runtime, const ga_attention_params &p, const Wanted &wanted) {
  Numbers result = sized(p, wanted);
  const ga_measure_params m = measurement(p, wanted, result);
  ga_error error{};
  EXPECT_EQ(measure(runtime, m, &error), GA_OK) << error.message;
  return result;
}

double element(const ga_tensor &t, int64_t b, int64_t s, int64_t h, int64_t d) {
  return load(t.dtype, static_cast<const std::byte *>(t.data) + element_offset(t, b, s, h, d) * size_of(t.dtype));
}

// The row's probabilities, over all keys, and how far p may be off, relatively, for an lse that is off by lse_error.
struct Row {
  std::vector<double> p;
  double lse = -std::numeric_limits<double>::infinity(), relative = 0;
};

Row probabilities(const ga_attention_params &p, int64_t b, int64_t i, int64_t h, double lse_error) {
  const int64_t length = key_length(p, b), kv = h / (p.heads_q / p.heads_kv);
  const KeyRange range = visible_keys(p, length, i);
  Row row;
  row.p.assign(static_cast<size_t>(length), 0);
  double highest = p.sink.data ? element(p.sink, 0, 0, h, 0) : -std::numeric_limits<double>::infinity(), amp = 0;
  const double sink = highest;
  for (int64_t j = range.first; j < range.end; ++j) {
    double dot = 0, size = 0;
    for (int64_t d = 0; d < p.head_dim; ++d) {
      const double term = element(p.q, b, i, h, d) * element(p.k, b, j, kv, d) * static_cast<double>(p.scale);
      dot += term;
      size += std::fabs(term);
    }
    const auto cap = static_cast<double>(p.softcap);
    row.p[static_cast<size_t>(j)] = cap > 0 ? cap * std::tanh(dot / cap) : dot;
    highest = std::max(highest, row.p[static_cast<size_t>(j)]);
    amp = std::max(amp, size);
  }
  if (range.first >= range.end) return row;
  double total = std::exp(sink - highest);
  for (int64_t j = range.first; j < range.end; ++j) total += std::exp(row.p[static_cast<size_t>(j)] - highest);
  row.lse = highest + std::log(total);
  for (int64_t j = range.first; j < range.end; ++j)
    row.p[static_cast<size_t>(j)] = std::exp(row.p[static_cast<size_t>(j)] - row.lse);
  row.relative = std::expm1(kEps32 * (10 + amp + 2 * std::fabs(row.lse)) + lse_error);
  return row;
}

void reference(const ga_attention_params &p, const Wanted &wanted, double lse_error, Numbers &value, Numbers &bound) {
  const int64_t rows = map_rows(p, wanted.cells), columns = map_columns(p, wanted.cells);
  for (int64_t b = 0; b < p.batch; ++b)
    for (int64_t h = 0; h < p.heads_q; ++h) {
      const auto head = static_cast<size_t>(b * p.heads_q + h);
      const int64_t keys = key_length(p, b), cells = std::min(columns, keys);
      std::vector<int64_t> counted(static_cast<size_t>(rows), 0);
      int64_t count = 0;
      for (int64_t i = 0; i < p.seq_q; ++i) {
        const Row row = probabilities(p, b, i, h, lse_error);
        const KeyRange range = visible_keys(p, keys, i);
        if (range.first >= range.end) continue;
        ++count;
        const auto cell_row = rows > 0 ? i * rows / p.seq_q : 0;
        if (rows > 0) ++counted[static_cast<size_t>(cell_row)];
        for (int64_t j = range.first; j < range.end; ++j) {
          const double x = row.p[static_cast<size_t>(j)], error = x * row.relative + 1e-37;
          for (size_t r = 0; r < wanted.ranges.size(); ++r)
            if (j >= wanted.ranges[r][0] && j < wanted.ranges[r][1]) {
              value.share[head * wanted.ranges.size() + r] += x;
              bound.share[head * wanted.ranges.size() + r] += error;
            }
          const double surprise = x > 0 ? -std::log(x) : 0;
          value.entropy[head] += x * surprise;
          bound.entropy[head] += error * (surprise + 1) + 1e-35;
          if (rows > 0) {
            const size_t at =
                (head * static_cast<size_t>(rows) + static_cast<size_t>(cell_row)) * static_cast<size_t>(columns) +
                static_cast<size_t>(j * cells / keys);
            value.map[at] += x;
            bound.map[at] += error;
          }
        }
      }
      value.rows[static_cast<size_t>(b)] = count;
      for (Numbers *n : {&value, &bound}) {
        for (size_t r = 0; r < wanted.ranges.size() && count > 0; ++r)
          n->share[head * wanted.ranges.size() + r] /= static_cast<double>(count);
        if (count > 0) n->entropy[head] /= static_cast<double>(count);
        for (int64_t c = 0; c < rows; ++c)
          for (int64_t k = 0; k < columns && counted[static_cast<size_t>(c)] > 0; ++k)
            n->map[(head * static_cast<size_t>(rows) + static_cast<size_t>(c)) * static_cast<size_t>(columns) +
                   static_cast<size_t>(k)] /= static_cast<double>(counted[static_cast<size_t>(c)]);
      }
    }
}

std::string difference(const char *name, const std::vector<double> &actual, const std::vector<double> &expected,
                       const std::vector<double> &bound) {
  for (size_t n = 0; n < expected.size(); ++n)
    if (!(std::fabs(actual[n] - expected[n]) <= bound[n]))
      return std::string(name) + "[" + std::to_string(n) + "] is " + std::to_string(actual[n]) + ", expected " +
             std::to_string(expected[n]) + " within " + std::to_string(bound[n]);
  return "";
}

Wanted random_wanted(Random &random, const Case &c) {
  Wanted wanted;
  wanted.ranges.push_back({0, 1});
  for (int64_t n = random.below(4); n > 0; --n) {
    const int64_t first = random.between(0, c.seq_k + 3);
    wanted.ranges.push_back({first, first + random.between(0, c.seq_k + 3)});
  }
  wanted.cells = random.chance(0.3) ? 0 : static_cast<int32_t>(random.between(1, 40));
  return wanted;
}

class Measures : public IsaTest {
 protected:
  // Measures a call with exact log-sum-exps, rounded to f32: all, then the ranges alone. "exact" is the call with keys in f32.
  void expect_agreement(const Case &c, ga_attention_params params, ga_attention_params exact) const {
    Random random(c.seed + 5);
    Wanted wanted = random_wanted(random, c);
    const Reference reference_call = reference_forward(exact);
    std::vector<float> lse(reference_call.lse.begin(), reference_call.lse.end());
    params.lse = exact.lse = {
        lse.data(), static_cast<int64_t>(lse.size() * sizeof(float)), {c.seq_q * c.heads_q, c.heads_q, 1, 1}, GA_F32, 0};
    params.v.data = params.out.data = params.gate.data = nullptr;
    Numbers value = sized(params, wanted), bound = sized(params, wanted);
    reference(exact, wanted, 0, value, bound);
    const Numbers actual = measured(runtime_.handle(), params, wanted);
    EXPECT_EQ(difference("share", actual.share, value.share, bound.share), "");
    EXPECT_EQ(difference("entropy", actual.entropy, value.entropy, bound.entropy), "");
    EXPECT_EQ(difference("map", actual.map, value.map, bound.map), "");
    EXPECT_EQ(actual.rows, value.rows);
    // Other keys are not scored, and the shares stay within their bounds.
    wanted.cells = 0;
    Numbers alone = sized(params, wanted);
    ga_measure_params m = measurement(params, wanted, alone);
    m.entropy = nullptr;
    ASSERT_EQ(measure(runtime_.handle(), m, nullptr), GA_OK);
    EXPECT_EQ(difference("share alone", alone.share, value.share, bound.share), "");
  }

  const Runtime runtime_{2, GetParam()};
};

TEST_P(Measures, OfRandomCallsAgreeWithFloat64) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 3;
  const int64_t budget = std::min<int64_t>(setting("GA_CASE_BUDGET", 500'000), 500'000);
  for (int64_t n = 0; n < cases && !HasFailure(); ++n) {
    const Case c = random_case(case_seed(47, n), {.budget = budget});
    announce_case(describe(c));
    SCOPED_TRACE(describe(c));
    Instance instance(c);
    expect_agreement(c, instance.params, instance.params);
    EXPECT_EQ(instance.untouched(), "");
  }
}

TEST_P(Measures, OfAnInt8CacheAgreeWithFloat64) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 20;
  for (int64_t n = 0; n < cases && !HasFailure(); ++n) {
    Random random(case_seed(48, n));
    const Case c = random_key_cache_case(random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}), 90);
    announce_case(describe(c));
    SCOPED_TRACE(describe(c));
    Instance instance(c);
    const KeyCache k(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim),
        v(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    const KeyCache scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1),
        values(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim);
    quantize(random, k, scale, values);
    ga_attention_params params = instance.params, exact = instance.params;
    exact.k = values.tensor();
    params.k = k.tensor();
    params.v = v.tensor();
    params.k_scale = params.v_scale = scale.tensor();
    expect_agreement(c, params, exact);
  }
}

TEST_P(Measures, FromTheForwardCallsOwnLogSumExps) {
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Instance instance(shaped_case(shape, dtype, {.sink = true}));
      ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, nullptr), GA_OK);
      const Wanted wanted{{{0, 1}, {0, shape.seq_k}}, 0};
      Numbers value = sized(instance.params, wanted), bound = sized(instance.params, wanted);
      reference(instance.params, wanted, dtype == GA_F32 ? 2e-5 : 3e-3, value, bound);
      const Numbers actual = measured(runtime_.handle(), instance.params, wanted);
      EXPECT_EQ(difference("share", actual.share, value.share, bound.share), "") << describe(instance.description());
      EXPECT_EQ(difference("entropy", actual.entropy, value.entropy, bound.entropy), "")
          << describe(instance.description());
    }
  }
}

TEST_P(Measures, GiveTheSameBitsForAnyNumberOfThreads) {
  for (const Shape &shape : shapes()) {
    const Instance instance(shaped_case(shape, GA_BF16));
    ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, nullptr), GA_OK);
    for (const int32_t cells : {0, 17, 400}) {
      const Wanted wanted{{{0, 1}, {3, 90}}, cells};
      const Numbers first = measured(runtime_.handle(), instance.params, wanted);
      for (const int32_t threads : {1, 3, 5}) {
        const Runtime other(threads, GetParam());
        const Numbers again = measured(other.handle(), instance.params, wanted);
        EXPECT_EQ(again.share, first.share) << threads << " threads, " << shape.name;
        EXPECT_EQ(again.entropy, first.entropy) << threads << " threads, " << shape.name;
        EXPECT_EQ(again.map, first.map) << threads << " threads, " << shape.name;
      }
    }
  }
}

TEST_P(Measures, KeepWhatARowSeesApartFromWhatItDoesNot) {
  Case c = shaped_case({"", 1, 70, 70, 1, 1, 16, 16, true}, GA_F32);
  Instance instance(c);
  ASSERT_EQ(ga_attention_forward(runtime_.handle(), &instance.params, nullptr), GA_OK);
  const Wanted wanted{{{0, 1}}, 70};
  const Numbers before = measured(runtime_.handle(), instance.params, wanted);
  // The last key is seen by the last query alone.
  store(GA_F32, instance.address(c.k, 0, 69, 0, 3), std::numeric_limits<double>::quiet_NaN());
  const Numbers after = measured(runtime_.handle(), instance.params, wanted);
  EXPECT_EQ(after.share, before.share) << "key 0 alone was asked for";
  EXPECT_TRUE(std::isnan(after.entropy[0]));
  for (size_t n = 0; n + 1 < after.map.size(); ++n) EXPECT_EQ(after.map[n], before.map[n]) << n;
  EXPECT_TRUE(std::isnan(after.map.back()));
}

// Uniform attention has closed forms, so that no reference need hold a matrix of 2^34 probabilities.
class LongMeasures : public Measures {
 protected:
  static constexpr int64_t kLength = 131'072;
  static constexpr int32_t kHeads = 2, kDim = 8;

  LongMeasures() : q_(kLength * kHeads * kDim), k_(kLength * kDim), lse_(kLength * kHeads) {
    params_.struct_size = sizeof params_;
    params_.batch = 1;
    params_.seq_q = params_.seq_k = kLength;
    params_.heads_q = kHeads;
    params_.heads_kv = 1;
    params_.head_dim = params_.head_dim_v = kDim;
    params_.window_left = params_.window_right = -1;
    params_.scale = 1;
    params_.flags = GA_CAUSAL;
    params_.q = tensor(q_, kHeads, kDim);
    params_.k = tensor(k_, 1, kDim);
    params_.lse = tensor(lse_, kHeads, 1);
  }

  static ga_tensor tensor(std::vector<float> &values, int64_t heads, int64_t dim) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(float));
    return {values.data(), bytes, {bytes / 4, heads * dim, dim, 1}, GA_F32, 0};
  }

  int64_t seen(int64_t i) const {
    return params_.window_left < 0 ? i + 1 : std::min<int64_t>(i + 1, params_.window_left + 1);
  }

  void set_lse() {
    for (int64_t i = 0; i < kLength; ++i)
      for (int32_t h = 0; h < kHeads; ++h)
        lse_[static_cast<size_t>(i * kHeads + h)] = static_cast<float>(std::log(static_cast<double>(seen(i))));
  }

  std::vector<float> q_, k_, lse_;
  ga_attention_params params_{};
};

TEST_P(LongMeasures, TakeMemoryThatGrowsWithTheQueriesAlone) {
  set_lse();
  Numbers result = sized(params_, {{{0, 1}, {0, 100}}, 0});
  const Wanted wanted{{{0, 1}, {0, 100}}, 0};
  ga_measure_params m = measurement(params_, wanted, result);
  m.entropy = nullptr;
  const Runtime fresh(2, GetParam());
  ASSERT_EQ(measure(fresh.handle(), m, nullptr), GA_OK);
  double first = 0, hundred = 0;
  for (int64_t i = 0; i < kLength; ++i) {
    first += 1.0 / static_cast<double>(i + 1) / kLength;
    hundred += static_cast<double>(std::min<int64_t>(i + 1, 100)) / static_cast<double>(i + 1) / kLength;
  }
  for (size_t h = 0; h < kHeads; ++h) {
    EXPECT_NEAR(result.share[2 * h], first, 1e-6 * first);
    EXPECT_NEAR(result.share[2 * h + 1], hundred, 1e-6 * hundred);
  }
  // A matrix would take 64 GB per head.
  EXPECT_LT(fresh.query().workspace_bytes, kLength * kHeads * 8);
}

TEST_P(LongMeasures, PoolMaps) {
  params_.window_left = 255;
  set_lse();
  const Wanted wanted{{}, 64};
  const Runtime fresh(2, GetParam());
  const Numbers result = measured(fresh.handle(), params_, wanted);
  double entropy = 0;
  std::vector<double> expected(64 * 64, 0);
  const int64_t cell = kLength / 64;
  for (int64_t i = 0; i < kLength; ++i) {
    entropy += std::log(static_cast<double>(seen(i))) / kLength;
    const double p = 1 / static_cast<double>(seen(i)) / static_cast<double>(cell);
    for (int64_t c = 0; c < 64; ++c) {
      const int64_t from = std::max(c * cell, i + 1 - seen(i)), to = std::min((c + 1) * cell, i + 1);
      if (from < to) expected[static_cast<size_t>(i / cell * 64 + c)] += p * static_cast<double>(to - from);
    }
  }
  for (size_t h = 0; h < kHeads; ++h) {
    EXPECT_NEAR(result.entropy[h], entropy, 1e-5);
    for (size_t n = 0; n < expected.size(); ++n) EXPECT_NEAR(result.map[h * 4096 + n], expected[n], 1e-5) << n;
  }
  EXPECT_LT(fresh.query().workspace_bytes, kLength * kHeads * 8);
}

GA_FOR_EACH_ISA(Measures);
GA_FOR_EACH_ISA(LongMeasures);

}  // namespace
}  // namespace gatest
