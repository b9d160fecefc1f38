#include "backward_case.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <vector>

#include "number.h"
#include "random.h"

namespace gatest {
namespace {

constexpr uint64_t kEvaluations = 8;  // of the simple formulas, each with its own roundings
constexpr const char *kNames[] = {"dq", "dk", "dv", "dgate", "dnorm_weight", "dsink"};

bool in_place(const View &out, const View &input) {
  return input.present() && out.block == input.block && out.offset == input.offset;
}

// A block of its own with odd padding between rows, the outer axes in any order.
View place(Case &c, Random &random, ga_dtype dtype, std::array<int64_t, 4> extent, bool tight) {
  View view;
  view.block = static_cast<int>(c.block_bytes.size());
  view.dtype = dtype;
  view.extent = extent;
  view.offset = tight ? 0 : random.below(10);
  std::array<size_t, 3> order{0, 1, 2};
  for (size_t n = 0; n < 2; ++n)
    if (random.chance(0.5)) std::swap(order[n], order[static_cast<size_t>(random.below(3))]);
  const auto padding = [&] { return random.chance(0.5) ? 0 : random.between(1, 19); };
  view.stride[3] = 1;
  int64_t stride = extent[3] + padding();
  for (size_t n = 3; n-- > 0;) {
    view.stride[order[n]] = stride;
    stride = stride * std::max<int64_t>(1, extent[order[n]]) + padding();
  }
  c.block_bytes.push_back((view.offset + span(view)) * size_of(dtype));
  return view;
}

// The gradient's strides are 0 exactly where its tensor is shared.
View like_shared(View gradient, const View &tensor) {
  for (size_t axis = 0; axis < 4; ++axis)
    if (tensor.stride[axis] == 0) gradient.stride[axis] = 0;
  return gradient;
}

// Elements are compared within slices of one entry and one head: there the largest errors of both evaluations count.
class Comparison {
 public:
  Comparison(const Instance &instance, const View &view, const char *name)
      : instance_(instance), view_(view), name_(name) {}

  std::string run(const Dense<double> &reference, const Dense<double> &magnitude,
                  const std::vector<const Dense<float> *> &simple, double &largest) {
    std::string failure;
    const auto &e = view_.extent;
    for (int64_t b = 0; b < e[0]; ++b)
      for (int64_t h = 0; h < e[2]; ++h) {
        double simple_error = 0;
        for_slice([&](int64_t s, int64_t d) {
          for (const Dense<float> *one : simple) {
            const auto value = static_cast<double>(one->at(b, s, h, d)), expected = reference.at(b, s, h, d);
            simple_error =
                std::max({simple_error, std::fabs(value - expected), std::fabs(rounded(view_.dtype, value) - expected)});
          }
        });
        for_slice([&](int64_t s, int64_t d) {
          const double expected = reference.at(b, s, h, d);
          const double result = load(view_.dtype, instance_.address(view_, b, s, h, d));
          const double eps = view_.dtype == GA_F32 ? 0x1p-23 : view_.dtype == GA_BF16 ? 0x1p-8 : 0x1p-11;
          const double bound = 3 * simple_error + eps * std::fabs(expected) + 0x1p-22 * magnitude.at(b, s, h, d) +
                               (view_.dtype == GA_F16 ? 0x1p-24 : 0x1p-120);
          const double error = std::fabs(result - expected);
          if (std::isfinite(error) && std::isfinite(bound)) largest = std::max(largest, error / bound);
          if (error <= bound || !std::isfinite(bound) || overflows(result, expected, bound) || !failure.empty()) return;
          std::ostringstream text;
          text.precision(9);
          text << name_ << '[' << b << ", " << s << ", " << h << ", " << d << "] is " << result << ", float64 says "
               << expected << " +- " << bound << ": " << error / bound << " times the bound (simple "
               << simple[0]->at(b, s, h, d) << ", its slice " << simple_error << ", magnitude "
               << magnitude.at(b, s, h, d) << ")";
          failure = text.str();
        });
      }
    return failure;
  }

 private:
  template <typename Visit>
  void for_slice(Visit &&visit) const {
    for (int64_t s = 0; s < view_.extent[1]; ++s)
      for (int64_t d = 0; d < view_.extent[3]; ++d) visit(s, d);
  }
  bool overflows(double result, double expected, double bound) const {
    return std::isinf(result) && std::fabs(expected) + bound >= max_finite(view_.dtype) &&
           std::signbit(result) == std::signbit(expected);
  }

  const Instance &instance_;
  const View &view_;
  const char *name_;
};

void fill_ungated(const Instance &instance) {
  const View &view = instance.description().ungated;
  if (!view.present()) return;
  const Gradients<double> exact =
      reference_backward(instance.params, load_operands(instance.params, instance.backward.dout));
  for (int64_t b = 0; b < view.extent[0]; ++b)
    for (int64_t s = 0; s < view.extent[1]; ++s)
      for (int64_t h = 0; h < view.extent[2]; ++h)
        for (int64_t d = 0; d < view.extent[3]; ++d)
          store(view.dtype, instance.address(view, b, s, h, d), exact.ungated.at(b, s, h, d));
}

}  // namespace

void add_gradients(Case &c) {
  c.flags &= ~GA_ROUND_BEFORE_GATE;
  c.dout = own_block(c, c.dtype, {c.batch, c.seq_q, c.heads_q, c.head_dim_v});
  c.dq = own_block(c, c.q.dtype, c.q.extent);
  c.dk = own_block(c, c.k.dtype, c.k.extent);
  c.dv = own_block(c, c.v.dtype, c.v.extent);
  if (c.gate.present()) c.dgate = like_shared(own_block(c, c.gate.dtype, c.gate.extent), c.gate);
  if (c.norm_weight.present())
    c.dnorm_weight = like_shared(own_block(c, c.norm_weight.dtype, c.norm_weight.extent), c.norm_weight);
  if (c.sink.present()) c.dsink = like_shared(own_block(c, c.sink.dtype, c.sink.extent), c.sink);
  if (!c.lse.present()) c.lse = own_block(c, GA_F32, {c.batch, c.seq_q, c.heads_q, 1});
}

Case random_backward_case(uint64_t seed, const RandomOptions &options) {
  Case c = random_case(seed, options);
  Random random(seed ^ 0xbac);
  c.flags &= ~GA_ROUND_BEFORE_GATE;
  if (in_place(c.out, c.q) || in_place(c.out, c.gate)) c.out = place(c, random, c.dtype, c.out.extent, options.tight);
  if (!c.lse.present()) c.lse = place(c, random, GA_F32, {c.batch, c.seq_q, c.heads_q, 1}, options.tight);
  if (c.dtype == GA_F16) {  // whose range a product of several large factors would leave
    c.value_size = std::min(c.value_size, 1.0);
    c.gate_size = std::min(c.gate_size, 4.0);
  }
  c.dout_size = random.pick({1.0, 1.0, 0.01});
  c.dout = place(c, random, c.dtype, c.out.extent, options.tight);
  const auto type = [&](ga_dtype of) { return random.chance(0.7) ? of : GA_F32; };
  if (random.chance(0.15)) c.ungated = place(c, random, type(c.dtype), c.out.extent, options.tight);
  const bool all = random.chance(0.7);
  const auto wanted = [&](const View &of) { return of.present() && (all || random.chance(0.5)); };
  if (wanted(c.q)) c.dq = place(c, random, type(c.dtype), c.q.extent, options.tight);
  if (wanted(c.k)) c.dk = place(c, random, type(c.dtype), c.k.extent, options.tight);
  if (wanted(c.v)) c.dv = place(c, random, type(c.dtype), c.v.extent, options.tight);
  const auto shared = [&](const View &of) {
    return like_shared(place(c, random, type(of.dtype), of.extent, options.tight), of);
  };
  if (wanted(c.gate)) c.dgate = shared(c.gate);
  if (wanted(c.norm_weight)) c.dnorm_weight = shared(c.norm_weight);
  if (wanted(c.sink)) c.dsink = shared(c.sink);
  return c;
}

std::string compare_gradients(const Instance &instance, GradientErrors *errors) {
  const Case &c = instance.description();
  const Operands<double> operands = load_operands(instance.params, instance.backward.dout);
  const Gradients<double> exact = reference_backward(instance.params, operands);
  const Gradients<double> magnitude = gradient_magnitudes(instance.params, operands);
  std::vector<Gradients<float>> simple;
  for (uint64_t n = 0; n < kEvaluations; ++n)
    simple.push_back(simple_backward(instance.params, operands, c.dtype, n == 0 ? 0 : c.seed + n));
  const std::vector<const View *> views = gradients(c);
  const Dense<double> Gradients<double>::*const members[] = {&Gradients<double>::dq,           &Gradients<double>::dk,
                                                             &Gradients<double>::dv,           &Gradients<double>::dgate,
                                                             &Gradients<double>::dnorm_weight, &Gradients<double>::dsink};
  const Dense<float> Gradients<float>::*const simple_members[] = {
      &Gradients<float>::dq,    &Gradients<float>::dk,           &Gradients<float>::dv,
      &Gradients<float>::dgate, &Gradients<float>::dnorm_weight, &Gradients<float>::dsink};
  std::string failure;
  for (size_t n = 0; n < views.size(); ++n) {
    if (!views[n]->present() || (exact.*members[n]).value.empty()) continue;
    double largest = 0;
    std::vector<const Dense<float> *> evaluations;
    for (const Gradients<float> &one : simple) evaluations.push_back(&(one.*simple_members[n]));
    const std::string own =
        Comparison(instance, *views[n], kNames[n]).run(exact.*members[n], magnitude.*members[n], evaluations, largest);
    if (errors != nullptr) errors->largest[n] = std::max(errors->largest[n], largest);
    if (failure.empty()) failure = own;
  }
  return failure;
}

std::string run_backward(ga_runtime runtime, Instance &instance) {
  ga_error error{};
  if (ga_attention_forward(runtime, &instance.params, &error) != GA_OK)
    return std::string("forward refused: ") + error.message;
  fill_ungated(instance);
  instance.take_snapshot();
  instance.protect_all_but_gradients(true);
  const ga_status status = ga_attention_backward(runtime, &instance.params, &instance.backward, &error);
  instance.protect_all_but_gradients(false);
  return status == GA_OK ? "" : std::string("refused: ") + error.message;
}

std::string run_backward_and_check(ga_runtime runtime, const Case &c, Placement placement, GradientErrors *errors) {
  Instance instance(c, placement);
  std::string failure = run_backward(runtime, instance);
  if (failure.empty()) failure = compare_gradients(instance, errors);
  if (failure.empty()) failure = instance.untouched_but_gradients();
  return failure.empty() ? "" : failure + "\n  " + describe(c);
}

}  // namespace gatest
