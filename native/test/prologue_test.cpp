// The prologue and the epilogue of attention, forward and backward, against float64.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "environment.h"
#include "isa_test.h"
#include "number.h"
#include "prologue_calls.h"
#include "prologue_case.h"
#include "reference.h"
#include "shapes.h"

namespace gatest {
namespace {

class Prologues : public IsaTest {
 protected:
  const Runtime runtime_{2, GetParam()};
};

TEST_P(Prologues, OfRandomCallsAgreeWithFloat64) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600);
  for (int64_t n = 0; n < cases; ++n) {
    const PrologueCase c(case_seed(71, n), n % 3 == 0);
    announce_case(c.describe());
    ga_error error{};
    ASSERT_EQ(prologue(runtime_.handle(), c.params, &error), GA_OK) << error.message << '\n' << c.describe();
    ASSERT_EQ(c.check_forward(), "") << "case " << n << ": " << c.describe();
  }
}

TEST_P(Prologues, BackwardOfRandomCallsAgreesWithFloat64) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600);
  for (int64_t n = 0; n < cases; ++n) {
    const PrologueCase c(case_seed(73, n), false);
    announce_case(c.describe());
    ga_error error{};
    ASSERT_EQ(prologue_backward(runtime_.handle(), c.backward, &error), GA_OK) << error.message << '\n' << c.describe();
    ASSERT_EQ(c.check_backward(), "") << "case " << n << ": " << c.describe();
  }
}

TEST_P(Prologues, GiveTheSameBitsForAnyNumberOfThreads) {
  for (int64_t n = 0; n < 40; ++n) {
    const PrologueCase c(case_seed(79, n), false);
    ASSERT_EQ(prologue(runtime_.handle(), c.params, nullptr), GA_OK);
    ASSERT_EQ(prologue_backward(runtime_.handle(), c.backward, nullptr), GA_OK);
    const std::vector<std::byte> out = c.output_bytes(), gradients = c.gradient_bytes();
    for (const int32_t threads : {1, 3, 5}) {
      const Runtime other(threads, GetParam());
      ASSERT_EQ(prologue(other.handle(), c.params, nullptr), GA_OK);
      ASSERT_EQ(prologue_backward(other.handle(), c.backward, nullptr), GA_OK);
      EXPECT_EQ(c.output_bytes(), out) << threads << " threads: " << c.describe();
      EXPECT_EQ(c.gradient_bytes(), gradients) << threads << " threads: " << c.describe();
    }
  }
}

TEST_P(Prologues, WorkInPlace) {
  for (int64_t n = 0; n < 40; ++n) {
    const uint64_t seed = case_seed(83, n);
    const PrologueCase apart(seed, false);
    PrologueCase together(seed, false);
    ASSERT_EQ(prologue(runtime_.handle(), apart.params, nullptr), GA_OK);
    for (ga_prologue_part *p : {&together.params.q, &together.params.k, &together.params.v}) {
      p->out = p->in;
      p->out_group_stride = p->in_group_stride;
    }
    ga_error error{};
    ASSERT_EQ(prologue(runtime_.handle(), together.params, &error), GA_OK) << error.message;
    for (int part = 0; part < 3; ++part)
      for (int64_t b = 0; b < apart.params.batch; ++b)
        for (int64_t s = 0; s < apart.params.seq; ++s)
          for (int64_t h = 0; h < apart.part[part].in.extent[2]; ++h)
            for (int64_t d = 0; d < apart.part[part].in.extent[3]; ++d)
              ASSERT_EQ(together.part[part].in.get(b, s, h, d), apart.part[part].out.get(b, s, h, d));
  }
}

TEST_P(Prologues, KeepRowsOfZerosAndShowNans) {
  for (const float eps : {0.0F, 1e-6F}) {
    std::vector<float> in(32, 0), out(32, 7);
    in[16 + 3] = std::numeric_limits<float>::quiet_NaN();
    ga_prologue_params p{};
    p.struct_size = sizeof p;
    p.batch = 1;
    p.seq = 2;
    p.q.in = {in.data(), 128, {32, 16, 16, 1}, GA_F32, 0};
    p.q.out = {out.data(), 128, {32, 16, 16, 1}, GA_F32, 0};
    p.q.heads = 1;
    p.q.dim = 16;
    p.q.flags = GA_PART_NORM;
    p.q.norm_eps = eps;
    ga_error error{};
    ASSERT_EQ(prologue(runtime_.handle(), p, &error), GA_OK) << error.message;
    for (size_t n = 0; n < 16; ++n) {
      EXPECT_EQ(out[n], 0);
      EXPECT_TRUE(std::isnan(out[16 + n]));
    }
  }
}

struct EpilogueShape {
  int64_t batch, seq;
  int32_t width;
  int64_t gate_stride[4];
};

class Epilogues : public Prologues {};

// Elements of a dense tensor, and of one with strides.
double at(const ga_tensor &t, int64_t b, int64_t s, int64_t d) {
  return load(t.dtype, static_cast<const std::byte *>(t.data) + element_offset(t, b, s, 0, d) * size_of(t.dtype));
}

class Memory {
 public:
  Memory(ga_dtype dtype, int64_t count, uint64_t seed) : block_(count * size_of(dtype), Placement::kGuardAfter) {
    Random random(seed);
    for (int64_t n = 0; n < count && seed != 0; ++n) store(dtype, block_.data() + n * size_of(dtype), random.normal());
  }
  ga_tensor tensor(ga_dtype dtype, const int64_t (&s)[4]) const {
    return {block_.data(), block_.bytes(), {s[0], s[1], s[2], s[3]}, dtype, 0};
  }

 private:
  Block block_;
};

TEST_P(Epilogues, AgreeWithFloat64ForwardAndBackward) {
  const EpilogueShape all[] = {
      {1, 1, 8, {8, 8, 0, 1}},       {2, 33, 24, {33 * 24, 24, 0, 1}}, {2, 7, 1032, {0, 1032, 0, 1}},
      {3, 40, 40, {0, 0, 0, 1}},     {2, 50, 64, {50, 1, 0, 0}},       {1, 300, 256, {0, 0, 0, 0}},
      {2, 5, 4096, {4096, 0, 0, 1}},
  };
  for (const EpilogueShape &shape : all)
    for (const ga_dtype dtype : kFloatTypes)
      for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation) {
        if (shape.width > 1000 && activation > GA_SILU) continue;
        SCOPED_TRACE(name_of(dtype) + " width " + std::to_string(shape.width) + " activation " +
                     std::to_string(activation));
        const int64_t w = shape.width, count = shape.batch * shape.seq * w;
        const int64_t dense[4] = {shape.seq * w, w, 0, 1};
        const bool shared[4] = {shape.batch > 1 && shape.gate_stride[0] == 0, shape.seq > 1 && shape.gate_stride[1] == 0,
                                false, shape.gate_stride[3] == 0};
        const int64_t gates = (shared[0] ? 1 : shape.batch) * (shared[1] ? 1 : shape.seq) * (shared[3] ? 1 : w);
        const Memory in(dtype, count, 3), gate(GA_F32, gates, 5), residual(GA_BF16, count, 7), out(dtype, count, 0);
        const Memory d_out(dtype, count, 9), d_in(GA_F32, count, 0), d_gate(GA_F32, gates, 0);
        ga_epilogue_params p{};
        p.struct_size = sizeof p;
        p.batch = shape.batch;
        p.seq = shape.seq;
        p.width = shape.width;
        p.activation = activation;
        p.in = in.tensor(dtype, dense);
        p.gate = gate.tensor(GA_F32, shape.gate_stride);
        p.residual = residual.tensor(GA_BF16, dense);
        p.out = out.tensor(dtype, dense);
        ga_error error{};
        ASSERT_EQ(epilogue(runtime_.handle(), p, &error), GA_OK) << error.message;
        ga_epilogue_backward_params g{};
        g.struct_size = sizeof g;
        g.forward = &p;
        g.d_out = d_out.tensor(dtype, dense);
        g.d_in = d_in.tensor(GA_F32, dense);
        g.d_gate = d_gate.tensor(GA_F32, shape.gate_stride);
        ASSERT_EQ(epilogue_backward(runtime_.handle(), g, &error), GA_OK) << error.message;

        const double coarse = dtype == GA_F32 ? 1e-6 : 2e-4;
        std::vector<double> sums(static_cast<size_t>(gates)), sizes(sums);
        for (int64_t b = 0; b < shape.batch; ++b)
          for (int64_t s = 0; s < shape.seq; ++s)
            for (int64_t d = 0; d < w; ++d) {
              const double x = at(p.in, b, s, d), score = at(p.gate, b, s, d), a = activate(activation, score);
              const double y = x * a + at(p.residual, b, s, d);
              const double bound = coarse * std::fabs(x * a) + 1e-6 +
                                   (dtype == GA_F32    ? 2e-7
                                    : dtype == GA_BF16 ? 0x1p-8
                                                       : 0x1p-11) *
                                       std::fabs(y);
              ASSERT_NEAR(at(p.out, b, s, d), y, bound);
              const double dy = at(g.d_out, b, s, d);
              ASSERT_NEAR(at(g.d_in, b, s, d), dy * a, 2e-6 * std::fabs(dy * a) + 1e-30);
              const double step = 1e-5;
              const double slope = (activate(activation, score + step) - activate(activation, score - step)) / (2 * step);
              const auto n = static_cast<size_t>(
                  element_offset(g.d_gate, shared[0] ? 0 : b, shared[1] ? 0 : s, 0, shared[3] ? 0 : d));
              sums[n] += dy * x * slope;
              sizes[n] += std::fabs(dy * x);
            }
        for (size_t n = 0; n < sums.size(); ++n)
          ASSERT_NEAR(load(GA_F32, static_cast<std::byte *>(g.d_gate.data) + n * 4), sums[n], 3e-6 * sizes[n] + 1e-8);
        // In place over each of the inputs that allow it.
        const std::vector<std::byte> first(static_cast<std::byte *>(p.out.data),
                                           static_cast<std::byte *>(p.out.data) + count * size_of(dtype));
        ga_epilogue_params over = p;
        over.out = over.in;
        ASSERT_EQ(epilogue(runtime_.handle(), over, &error), GA_OK) << error.message;
        EXPECT_TRUE(std::equal(first.begin(), first.end(), static_cast<std::byte *>(over.out.data)));
      }
}

TEST_P(Epilogues, MayWriteOverTheResidual) {
  const int64_t dense[4] = {64, 16, 0, 1};
  const Memory in(GA_F32, 64, 3), residual(GA_F32, 64, 5), out(GA_F32, 64, 0);
  ga_epilogue_params p{};
  p.struct_size = sizeof p;
  p.batch = 1;
  p.seq = 4;
  p.width = 16;
  p.in = in.tensor(GA_F32, dense);
  p.residual = residual.tensor(GA_F32, dense);
  p.out = out.tensor(GA_F32, dense);
  ASSERT_EQ(epilogue(runtime_.handle(), p, nullptr), GA_OK);
  const std::vector<float> first(static_cast<float *>(p.out.data), static_cast<float *>(p.out.data) + 64);
  p.out = p.residual;
  ASSERT_EQ(epilogue(runtime_.handle(), p, nullptr), GA_OK);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), static_cast<float *>(p.out.data)));
}

GA_FOR_EACH_ISA(Prologues);
GA_FOR_EACH_ISA(Epilogues);

}  // namespace
}  // namespace gatest
