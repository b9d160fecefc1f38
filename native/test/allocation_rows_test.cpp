// Every allocation of measurements, prologues and epilogues fails, as in allocation_test.cpp.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "failing_allocator.h"
#include "prologue_calls.h"
#include "prologue_case.h"
#include "refusal.h"
#include "shapes.h"

namespace gatest {
namespace {

using Bytes = std::vector<std::byte>;

// A call with outputs of its own.
struct Attempt {
  virtual ~Attempt() = default;
  virtual ga_status run(ga_runtime runtime, ga_error *error) = 0;
  virtual Bytes outputs() const = 0;
};

// First on a runtime without scratch memory, then on a warm one. make() gives the same attempt each time.
void expect_survives(const std::function<std::unique_ptr<Attempt>()> &make) {
  const Runtime other(2);
  const auto expected = make();
  ga_error error{};
  ASSERT_EQ(expected->run(other.handle(), &error), GA_OK) << error.message;
  const Bytes results = expected->outputs();
  for (const Fails fails : kBoth) {
    const Held before = held_by_the_library();
    {
      const Runtime runtime(2);
      const auto fail_in_turn = [&] {
        return for_each_allocation(fails, [&](const Failure &failure) {
          const auto attempt = make();
          const Bytes untouched = attempt->outputs();
          ga_error refused{};
          const ga_status status = attempt->run(runtime.handle(), &refused);
          if (failure.fired()) {
            EXPECT_EQ(status, GA_OUT_OF_MEMORY);
            EXPECT_TRUE(holds_word(refused.message, "memory")) << refused.message;
            EXPECT_TRUE(attempt->outputs() == untouched) << "written although refused";
            return;
          }
          ASSERT_EQ(status, GA_OK) << refused.message;
          EXPECT_TRUE(attempt->outputs() == results) << "other bits after a failure";
        });
      };
      EXPECT_GE(fail_in_turn(), 1);
      EXPECT_EQ(fail_in_turn(), 0) << "a warm call allocates";
    }
    EXPECT_EQ(held_by_the_library(), before) << "bytes were lost";
  }
}

template <class T>
void append(Bytes &bytes, const std::vector<T> &values) {
  const size_t end = bytes.size();
  bytes.resize(end + values.size() * sizeof(T));
  std::memcpy(bytes.data() + end, values.data(), values.size() * sizeof(T));
}

struct MeasureAttempt : Attempt {
  explicit MeasureAttempt(ga_runtime forward) : instance(shaped_case({"", 2, 70, 70, 4, 2, 64, 64, true}, GA_F32)) {
    EXPECT_EQ(ga_attention_forward(forward, &instance.params, nullptr), GA_OK);
  }
  ga_status run(ga_runtime runtime, ga_error *error) override {
    ga_measure_params m{};
    m.struct_size = sizeof m;
    m.attention = &instance.params;
    m.ranges = ranges;
    m.range_count = 2;
    m.map_cells = 3;
    m.share = share.data();
    m.entropy = entropy.data();
    m.map = map.data();
    m.rows = rows.data();
    m.share_count = static_cast<int64_t>(share.size());
    m.entropy_count = static_cast<int64_t>(entropy.size());
    m.map_count = static_cast<int64_t>(map.size());
    m.rows_count = static_cast<int64_t>(rows.size());
    const void *n = nullptr;
    return ga_attention_measure(runtime, &m, error, n, n, n, n, n, n, n, n, n, n);
  }
  Bytes outputs() const override {
    Bytes bytes;
    append(bytes, share);
    append(bytes, entropy);
    append(bytes, map);
    append(bytes, rows);
    return bytes;
  }

  Instance instance;
  int64_t ranges[4] = {0, 1, 2, 50};
  std::vector<double> share = std::vector<double>(16, -7), entropy = std::vector<double>(8, -7),
                      map = std::vector<double>(72, -7);
  std::vector<int64_t> rows = {-7, -7};
};

TEST(AllocationFailure, OfMeasurements) {
  const Runtime forward(2);
  MeasureAttempt(forward.handle());  // it is warm from here on
  expect_survives([&] { return std::make_unique<MeasureAttempt>(forward.handle()); });
}

struct ValuesAttempt : Attempt {
  ga_status run(ga_runtime runtime, ga_error *error) override {
    ga_values_params v{};
    v.struct_size = sizeof v;
    v.batch = 1;
    v.seq = 100;
    v.heads = 2;
    v.dim = 8;
    v.activation = GA_SIGMOID;
    v.bins = 4;
    v.high = 1;
    v.values = {values.data(), static_cast<int64_t>(values.size() * sizeof(float)), {1600, 16, 8, 1}, GA_F32, 0};
    v.statistics = statistics.data();
    v.histogram = histogram.data();
    v.statistics_count = 2;
    v.histogram_count = 8;
    return ga_measure_values(runtime, &v, error, nullptr);
  }
  Bytes outputs() const override {
    Bytes bytes;
    append(bytes, statistics);
    append(bytes, histogram);
    return bytes;
  }

  std::vector<float> values = std::vector<float>(1600, 0.5F);
  std::vector<ga_value_statistics> statistics = std::vector<ga_value_statistics>(2);
  std::vector<int64_t> histogram = std::vector<int64_t>(8, -7);
};

TEST(AllocationFailure, OfStatisticsOfValues) {
  expect_survives([] { return std::make_unique<ValuesAttempt>(); });
}

struct PrologueAttempt : Attempt {
  PrologueAttempt(uint64_t seed, bool to_cache, bool is_backward) : c(seed, to_cache), backward(is_backward) {}
  ga_status run(ga_runtime runtime, ga_error *error) override {
    return backward ? prologue_backward(runtime, c.backward, error) : prologue(runtime, c.params, error);
  }
  Bytes outputs() const override { return backward ? c.gradient_bytes() : c.output_bytes(); }

  PrologueCase c;
  bool backward;
};

TEST(AllocationFailure, OfPrologues) {
  for (const bool to_cache : {false, true})
    ASSERT_NO_FATAL_FAILURE(expect_survives([&] { return std::make_unique<PrologueAttempt>(11, to_cache, false); }));
}

TEST(AllocationFailure, OfBackwardPrologues) {
  ASSERT_NO_FATAL_FAILURE(expect_survives([] { return std::make_unique<PrologueAttempt>(11, false, true); }));
}

// Shared by all tokens, the gate's gradient is a sum, which takes scratch memory.
struct EpilogueAttempt : Attempt {
  explicit EpilogueAttempt(bool is_backward) : backward(is_backward) {}
  ga_status run(ga_runtime runtime, ga_error *error) override {
    const auto rows = [](std::vector<float> &v) {
      return ga_tensor{v.data(), static_cast<int64_t>(v.size() * sizeof(float)), {800, 8, 0, 1}, GA_F32, 0};
    };
    const auto shared = [](std::vector<float> &v) {
      return ga_tensor{v.data(), static_cast<int64_t>(v.size() * sizeof(float)), {0, 0, 0, 1}, GA_F32, 0};
    };
    ga_epilogue_params p{};
    p.struct_size = sizeof p;
    p.batch = 1;
    p.seq = 100;
    p.width = 8;
    p.activation = GA_SIGMOID;
    p.in = rows(in);
    p.gate = shared(gate);
    p.out = rows(out);
    if (!backward) return epilogue(runtime, p, error);
    ga_epilogue_backward_params b{};
    b.struct_size = sizeof b;
    b.forward = &p;
    b.d_out = rows(d_out);
    b.d_in = rows(out);
    b.d_gate = shared(d_gate);
    return epilogue_backward(runtime, b, error);
  }
  Bytes outputs() const override {
    Bytes bytes;
    append(bytes, out);
    append(bytes, d_gate);
    return bytes;
  }

  bool backward;
  std::vector<float> in = std::vector<float>(800, 0.5F), gate = std::vector<float>(8, 1), d_out = in,
                     out = std::vector<float>(800, -7), d_gate = std::vector<float>(8, -7);
};

TEST(AllocationFailure, OfEpilogues) {
  for (const bool backward : {false, true})
    ASSERT_NO_FATAL_FAILURE(expect_survives([&] { return std::make_unique<EpilogueAttempt>(backward); }));
}

}  // namespace
}  // namespace gatest
