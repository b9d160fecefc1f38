#include "instance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

#include "number.h"
#include "random.h"

namespace gatest {
namespace {

// Calls visit(batch, sequence, head, dim) for every element of the view.
template <typename Visit>
void for_each(const View &view, Visit &&visit) {
  for (int64_t b = 0; b < view.extent[0]; ++b) {
    for (int64_t s = 0; s < view.extent[1]; ++s) {
      for (int64_t h = 0; h < view.extent[2]; ++h) {
        for (int64_t d = 0; d < view.extent[3]; ++d) visit(b, s, h, d);
      }
    }
  }
}

bool same_view(const View &one, const View &other) { return one.block == other.block && one.offset == other.offset; }

// Whether a result may stand where float64 gives expected, give or take bound.
bool within(ga_dtype dtype, double result, double expected, double bound) {
  if (std::isnan(expected)) return std::isnan(result);
  if (std::isinf(expected)) return result == expected;
  if (std::isinf(result))
    return std::fabs(expected) + bound >= max_finite(dtype) && std::signbit(result) == std::signbit(expected);
  return std::fabs(result - expected) <= bound;
}

std::string mismatch(const char *name, const std::vector<int64_t> &index, double result, double expected, double bound) {
  std::ostringstream text;
  text.precision(9);
  text << name << '[';
  for (size_t n = 0; n < index.size(); ++n) text << (n > 0 ? ", " : "") << index[n];
  text << "] is " << result << ", float64 says " << expected << " +- " << bound;
  if (bound > 0) text << ": " << std::fabs(result - expected) / bound << " times the bound";
  return text.str();
}

}  // namespace

Instance::Instance(const Case &c, Placement placement) : case_(c) {
  blocks_.reserve(c.block_bytes.size());
  for (const int64_t bytes : c.block_bytes) blocks_.emplace_back(bytes, placement);
  fill_inputs();
  params.struct_size = sizeof params;
  params.batch = c.batch;
  params.seq_q = c.seq_q;
  params.seq_k = c.seq_k;
  params.heads_q = c.heads_q;
  params.heads_kv = c.heads_kv;
  params.head_dim = c.head_dim;
  params.head_dim_v = c.head_dim_v;
  params.window_left = c.window_left;
  params.window_right = c.window_right;
  params.scale = c.scale;
  params.norm_eps = c.norm_eps;
  params.softcap = c.softcap;
  params.activation = c.activation;
  params.combination = c.combination;
  params.pre_gate = c.pre_gate;
  params.flags = c.flags;
  params.q = tensor(c.q);
  params.k = tensor(c.k);
  params.v = tensor(c.v);
  params.gate = tensor(c.gate);
  params.norm_weight = tensor(c.norm_weight);
  params.sink = tensor(c.sink);
  params.key_lengths = tensor(c.key_lengths);
  params.out = tensor(c.out);
  params.lse = tensor(c.lse);
  backward.struct_size = sizeof backward;
  backward.dout = tensor(c.dout);
  backward.ungated = tensor(c.ungated);
  backward.dq = tensor(c.dq);
  backward.dk = tensor(c.dk);
  backward.dv = tensor(c.dv);
  backward.dgate = tensor(c.dgate);
  backward.dnorm_weight = tensor(c.dnorm_weight);
  backward.dsink = tensor(c.dsink);
  if (c.poison) {
    poison_unseen(c.k);
    poison_unseen(c.v);
  }
  take_snapshot();
}

ga_tensor Instance::tensor(const View &view) const {
  ga_tensor result{};
  if (!view.present()) return result;
  result.data = address(view, 0, 0, 0, 0);
  result.bytes = span(view) * size_of(view.dtype);
  std::copy(view.stride.begin(), view.stride.end(), result.stride);
  result.dtype = view.dtype;
  return result;
}

std::byte *Instance::address(const View &view, int64_t batch, int64_t sequence, int64_t head, int64_t dim) const {
  const int64_t element =
      view.offset + batch * view.stride[0] + sequence * view.stride[1] + head * view.stride[2] + dim * view.stride[3];
  return blocks_[static_cast<size_t>(view.block)].data() + element * size_of(view.dtype);
}

void Instance::fill(const View &view, double size) {
  if (!view.present()) return;
  Random random(case_.seed * 31 + static_cast<uint64_t>(view.block) * 7 + static_cast<uint64_t>(view.offset));
  for_each(view, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    store(view.dtype, address(view, b, s, h, d), size * random.normal());
  });
}

// Adds to the last dims of each row what at_first and at_last say, interpolated along the sequence.
void Instance::add_trend(const View &view, double at_first, double at_last) {
  for_each(view, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    if (d < view.extent[3] - case_.trend_dims) return;
    std::byte *at = address(view, b, s, h, d);
    const double share = static_cast<double>(s) / static_cast<double>(std::max<int64_t>(1, view.extent[1] - 1));
    const double direction = d % 3 == 0 ? -1 : 1;
    store(view.dtype, at, load(view.dtype, at) + (at_first + share * (at_last - at_first)) * direction);
  });
}

void Instance::fill_inputs() {
  fill(case_.q, case_.query_size);
  fill(case_.k, 1);
  if (case_.trend != 0) {
    const double part =
        std::sqrt(std::fabs(case_.trend / (static_cast<double>(case_.scale) * static_cast<double>(case_.trend_dims))));
    add_trend(case_.k, 0, case_.trend > 0 ? part : -part);
    const double query_part = std::copysign(part, static_cast<double>(case_.scale));
    add_trend(case_.q, query_part, query_part);
  }
  if (!same_view(case_.v, case_.k)) fill(case_.v, case_.value_size);
  fill(case_.gate, case_.gate_size);
  fill(case_.norm_weight, 1);
  fill(case_.sink, case_.sink_size);
  fill(case_.dout, case_.dout_size);
  for (size_t b = 0; b < case_.lengths.size(); ++b) {
    store(GA_I32, address(case_.key_lengths, static_cast<int64_t>(b), 0, 0, 0), case_.lengths[b]);
  }
}

void Instance::poison_unseen(const View &view) {
  for_each(view, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    const int64_t length = key_length(params, b);
    const bool seen = params.seq_q > 0 && s >= visible_keys(params, length, 0).first &&
                      s < visible_keys(params, length, params.seq_q - 1).end;
    const double infinity = std::numeric_limits<double>::infinity();
    const double poison[] = {std::numeric_limits<double>::quiet_NaN(), infinity, -infinity};
    if (!seen) store(view.dtype, address(view, b, s, h, d), poison[(s + d) % 3]);
  });
}

std::vector<std::byte> Instance::bits(const View &view) const {
  std::vector<std::byte> result;
  if (!view.present()) return result;
  for_each(view, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    const std::byte *at = address(view, b, s, h, d);
    result.insert(result.end(), at, at + size_of(view.dtype));
  });
  return result;
}

void Instance::take_snapshot() {
  for (Block &block : blocks_) block.take_snapshot();
}

void Instance::restore(const View &view) {
  if (!view.present()) return;
  const Block &block = blocks_[static_cast<size_t>(view.block)];
  for_each(view, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    std::byte *at = address(view, b, s, h, d);
    std::memcpy(at, block.snapshot().data() + (at - block.data()), static_cast<size_t>(size_of(view.dtype)));
  });
}

std::string Instance::untouched_elsewhere() {
  restore(case_.out);
  restore(case_.lse);
  return untouched();
}

std::string Instance::untouched() const {
  for (size_t n = 0; n < blocks_.size(); ++n) {
    std::string difference = blocks_[n].difference("block " + std::to_string(n));
    if (!difference.empty()) return difference;
  }
  return "";
}

std::string Instance::untouched_but_gradients() {
  for (const View *view : gradients(case_)) restore(*view);
  return untouched();
}

void Instance::protect(bool protect, const std::vector<const View *> &outputs) const {
  for (size_t n = 0; n < blocks_.size(); ++n) {
    bool written = false;
    for (const View *view : outputs) written |= view->block == static_cast<int>(n);
    if (!written) blocks_[n].set_writable(!protect);
  }
}

void Instance::protect_inputs(bool on) const { protect(on, {&case_.out, &case_.lse}); }

void Instance::protect_all_but_gradients(bool on) const { protect(on, gradients(case_)); }

std::vector<const View *> gradients(const Case &c) { return {&c.dq, &c.dk, &c.dv, &c.dgate, &c.dnorm_weight, &c.dsink}; }

void ErrorBalance::add(const ErrorBalance &other) {
  sum += other.sum;
  sum_outwards += other.sum_outwards;
  elements += other.elements;
  largest = std::max(largest, other.largest);
}

std::string compare(const Instance &instance, const Reference &reference, ErrorBalance *balance) {
  const Case &c = instance.description();
  std::string failure;
  size_t n = 0;
  ErrorBalance own;
  for_each(c.out, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    const double result = load(c.dtype, instance.address(c.out, b, s, h, d));
    const double expected = reference.out[n];
    const double bound = reference.out_bound[n];
    ++n;
    if (!within(c.dtype, result, expected, bound) && failure.empty()) {
      failure = mismatch("out", {b, s, h, d}, result, expected, bound);
    }
    if (!std::isfinite(result) || !std::isfinite(expected) || bound <= 0) return;
    const double share = (result - expected) / bound;
    own.sum += share;
    own.sum_outwards += std::signbit(expected) ? -share : share;
    own.largest = std::max(own.largest, std::fabs(share));
    own.elements += 1;
  });
  if (balance != nullptr) balance->add(own);
  if (!c.lse.present() || !failure.empty()) return failure;
  n = 0;
  for_each(c.lse, [&](int64_t b, int64_t s, int64_t h, int64_t d) {
    const double result = load(GA_F32, instance.address(c.lse, b, s, h, d));
    const bool fits = within(GA_F32, result, reference.lse[n], reference.lse_bound[n]);
    if (!fits && failure.empty()) failure = mismatch("lse", {b, s, h}, result, reference.lse[n], reference.lse_bound[n]);
    ++n;
  });
  return failure;
}

std::string run_and_check(ga_runtime runtime, const Case &c, Placement placement, ErrorBalance *balance) {
  Instance instance(c, placement);
  const Reference reference = reference_forward(instance.params);
  ga_error error{};
  instance.protect_inputs(true);
  const ga_status status = ga_attention_forward(runtime, &instance.params, &error);
  instance.protect_inputs(false);
  std::string failure;
  if (status != GA_OK) {
    failure = std::string("refused: ") + error.message;
  } else {
    failure = compare(instance, reference, balance);
    if (failure.empty()) failure = instance.untouched_elsewhere();
  }
  return failure.empty() ? "" : failure + "\n  " + describe(c);
}

}  // namespace gatest
