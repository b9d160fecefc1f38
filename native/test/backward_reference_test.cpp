// The float64 gradients that everything is compared with, against finite differences of the float64 forward pass.

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "backward_case.h"

namespace gatest {
namespace {

double loss(const ga_attention_params &params, const Operands<double> &operands) {
  const Gradients<double> g = reference_backward(params, operands);
  double sum = 0;
  for (size_t n = 0; n < g.out.value.size(); ++n) sum += g.out.value[n] * operands.dout.value[n];
  return sum;
}

// Every element of every operand, by central differences.
void expect_derivatives(const Case &c) {
  const Instance instance(c);
  Operands<double> operands = load_operands(instance.params, instance.backward.dout);
  const Gradients<double> g = reference_backward(instance.params, operands);
  const std::vector<std::pair<Dense<double> *, const Dense<double> *>> pairs = {
      {&operands.q, &g.dq},       {&operands.k, &g.dk},       {&operands.v, &g.dv},
      {&operands.gate, &g.dgate}, {&operands.sink, &g.dsink}, {&operands.norm_weight, &g.dnorm_weight}};
  constexpr double step = 1e-5;
  for (size_t pair = 0; pair < pairs.size(); ++pair) {
    std::vector<double> &values = pairs[pair].first->value;
    for (size_t n = 0; n < values.size(); ++n) {
      const double value = values[n];
      values[n] = value + step;
      const double above = loss(instance.params, operands);
      values[n] = value - step;
      const double below = loss(instance.params, operands);
      values[n] = value;
      const double slope = (above - below) / (2 * step), expected = pairs[pair].second->value[n];
      ASSERT_NEAR(slope, expected, 1e-6 * (1 + std::fabs(expected)))
          << "operand " << pair << ", element " << n << ": " << describe(c);
    }
  }
}

Case small_case() {
  Case c;
  c.seq_q = 3;
  c.seq_k = 4;
  c.heads_q = 2;
  c.heads_kv = 1;
  c.head_dim = c.head_dim_v = 8;
  c.scale = 0.4F;
  c.flags = GA_CAUSAL;
  return c;
}

TEST(BackwardReference, IsTheDerivativeForEveryActivationCombinationAndPreStep) {
  for (ga_activation activation = GA_SIGMOID; activation <= GA_TANH; ++activation) {
    for (const ga_combination combination : {GA_MULTIPLY, GA_ADD}) {
      for (const ga_pre_gate pre_gate : {GA_PRE_NONE, GA_PRE_RMS_NORM, GA_PRE_SILU}) {
        Case c = small_case();
        c.activation = activation;
        c.combination = combination;
        c.pre_gate = pre_gate;
        lay_out_densely(c, {.gate = true, .norm_weight = pre_gate == GA_PRE_RMS_NORM, .sink = true, .lse = true});
        add_gradients(c);
        expect_derivatives(c);
      }
    }
  }
}

TEST(BackwardReference, IsTheDerivativeWithSharedGatesMasksAndSoftcap) {
  for (int shared = 0; shared < 16; ++shared) {
    Case c = small_case();
    c.batch = 2;
    c.softcap = shared % 2 == 0 ? 1.5F : 0;
    c.window_left = shared % 3 == 0 ? 1 : -1;
    c.activation = GA_SILU;
    lay_out_densely(c, {.gate = false, .sink = shared % 2 == 1, .lse = true});
    std::array<int64_t, 4> extent = c.out.extent;
    for (size_t axis = 0; axis < 4; ++axis)
      if ((shared >> axis & 1) != 0) extent[axis] = 1;
    c.gate = own_block(c, GA_F32, extent);
    for (size_t axis = 0; axis < 4; ++axis)
      if (extent[axis] == 1) c.gate.stride[axis] = 0;
    add_gradients(c);
    expect_derivatives(c);
  }
}

TEST(BackwardReference, IsTheDerivativeWithoutAGate) {
  for (const ga_pre_gate pre_gate : {GA_PRE_NONE, GA_PRE_RMS_NORM, GA_PRE_SILU}) {
    Case c = small_case();
    c.pre_gate = pre_gate;
    c.window_right = 0;
    lay_out_densely(c, {.gate = false, .lse = true});
    add_gradients(c);
    expect_derivatives(c);
  }
}

}  // namespace
}  // namespace gatest
