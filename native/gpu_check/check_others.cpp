// Merged parts, projections, and what the library must refuse on a device.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "environment.h"
#include "number.h"
#include "random.h"
#include "reference.h"
#include "series.h"

namespace gpu_check {
namespace {

gatest::Case merge_case(ga_dtype dtype, int32_t head_dim) {
  gatest::Case c;
  c.seed = static_cast<uint64_t>(head_dim) + 5;
  c.dtype = dtype;
  c.head_dim = c.head_dim_v = head_dim;
  c.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  c.batch = 2;
  c.heads_kv = 2;
  c.heads_q = 6;
  c.seq_q = 33;
  c.seq_k = 301;
  gatest::lay_out_densely(c, {.gate = true, .sink = true, .lse = true});
  return c;
}

// Parts of the keys, each by forward without gate and sink, then merged with them.
void check_merge(const Device &device, const gatest::Case &c, const Scope &scope, Tally &tally) {
  constexpr int64_t kBorders[] = {0, 100, 100, 301};  // one part is empty
  constexpr int64_t kParts = 3;
  gatest::Instance whole(c);
  const gatest::Reference reference = gatest::reference_forward(whole.params);
  const Placed placed(device, whole, scope.guards);
  const int64_t size = gatest::size_of(c.dtype), rows = c.batch * c.seq_q * c.heads_q;
  const std::vector<std::byte> nan(static_cast<size_t>(kParts * rows * c.head_dim_v * 4), std::byte{0xff});
  const Mirror outs(device, nan.data(), kParts * rows * c.head_dim_v * size, scope.guards);
  const Mirror lses(device, nan.data(), kParts * rows * 4, scope.guards);
  ga_error error{};
  ga_attention_params part = placed.params;
  part.gate = part.sink = {};
  for (int64_t n = 0; n < kParts; ++n) {
    const int64_t first = kBorders[n];
    part.seq_k = kBorders[n + 1] - first;
    const auto slice = [&](const ga_tensor &all, ga_tensor &some) {
      some.data = static_cast<std::byte *>(all.data) + first * all.stride[1] * size;
      some.bytes = all.bytes - first * all.stride[1] * size;
    };
    slice(placed.params.k, part.k);
    slice(placed.params.v, part.v);
    part.out.data = outs.data() + n * rows * c.head_dim_v * size;
    part.lse.data = lses.data() + n * rows * 4;
    const ga_status status = ga_attention_forward(device.runtime(), &part, &error);
    if (status == GA_UNSUPPORTED) return tally.refused("merge", error.message);
    require(status, error);
  }
  ga_merge_params m{};
  m.struct_size = sizeof m;
  m.batch = c.batch;
  m.seq_q = c.seq_q;
  m.count = kParts;
  m.partial_out_stride = rows * c.head_dim_v;
  m.partial_lse_stride = rows;
  m.heads_q = c.heads_q;
  m.head_dim_v = c.head_dim_v;
  m.activation = c.activation;
  m.combination = c.combination;
  m.partial_out = placed.params.out;
  m.partial_out.data = outs.data();
  m.partial_out.bytes = kParts * rows * c.head_dim_v * size;
  m.partial_lse = placed.params.lse;
  m.partial_lse.data = lses.data();
  m.partial_lse.bytes = kParts * rows * 4;
  m.gate = placed.params.gate;
  m.sink = placed.params.sink;
  m.out = placed.params.out;
  m.lse = placed.params.lse;
  const ga_status status = ga_attention_merge(device.runtime(), &m, &error);
  if (status == GA_UNSUPPORTED) return tally.refused("merge", error.message);
  require(status, error);
  device.synchronize();
  gatest::ErrorBalance balance;
  std::string failure = placed.download(whole);
  if (failure.empty()) failure = gatest::compare(whole, reference, &balance);
  if (failure.empty()) failure = whole.untouched_elsewhere();
  if (failure.empty())
    tally.held("merge", "merge", balance);
  else
    tally.failed("merge", "merge", failure + "\n  " + gatest::describe(c));
}

void check_projection(const Device &device, ga_dtype dtype, bool bias, const Scope &scope, Tally &tally) {
  constexpr int64_t kRows = 37, kIn = 264, kOut = 136;
  const int64_t size = gatest::size_of(dtype);
  gatest::Random random(9);
  const auto filled = [&](int64_t count) {
    std::vector<std::byte> bytes(static_cast<size_t>(count * size));
    for (int64_t n = 0; n < count; ++n) gatest::store(dtype, bytes.data() + n * size, random.normal());
    return bytes;
  };
  const std::vector<std::byte> in = filled(kRows * kIn), weight = filled(kOut * kIn), added = filled(kOut);
  std::vector<std::byte> out(static_cast<size_t>(kRows * kOut * size), std::byte{0xff});
  const auto mirror = [&](const std::vector<std::byte> &host) {
    return Mirror(device, host.data(), static_cast<int64_t>(host.size()), scope.guards);
  };
  const Mirror in_there = mirror(in), weight_there = mirror(weight), added_there = mirror(added), out_there = mirror(out);
  const auto tensor = [&](const Mirror &m, int64_t rows, int64_t columns) {
    return ga_tensor{m.data(), rows * columns * size, {0, columns, 0, 1}, dtype, 0};
  };
  ga_project_params p{};
  p.struct_size = sizeof p;
  p.rows = kRows;
  p.in_features = kIn;
  p.out_features = kOut;
  p.in = tensor(in_there, kRows, kIn);
  p.weight = tensor(weight_there, kOut, kIn);
  if (bias) p.bias = tensor(added_there, 1, kOut);
  p.out = tensor(out_there, kRows, kOut);
  ga_error error{};
  const ga_status status = ga_project(device.runtime(), &p, &error, nullptr, nullptr, nullptr, nullptr);
  if (status == GA_UNSUPPORTED || status == GA_UNAVAILABLE) return tally.refused("project", error.message);
  require(status, error);
  device.synchronize();
  std::string failure = out_there.download(out.data());
  const double eps = dtype == GA_BF16 ? 0x1p-9 : dtype == GA_F16 ? 0x1p-12 : 0x1p-24;
  gatest::ErrorBalance balance;
  for (int64_t r = 0; r < kRows && failure.empty(); ++r)
    for (int64_t o = 0; o < kOut && failure.empty(); ++o) {
      double sum = bias ? gatest::load(dtype, added.data() + o * size) : 0, terms = std::fabs(sum);
      for (int64_t i = 0; i < kIn; ++i) {
        const double term = gatest::load(dtype, in.data() + (r * kIn + i) * size) *
                            gatest::load(dtype, weight.data() + (o * kIn + i) * size);
        sum += term;
        terms += std::fabs(term);
      }
      const double result = gatest::load(dtype, out.data() + (r * kOut + o) * size);
      const double bound = 2e-6 * terms + 2 * eps * std::fabs(sum);  // f32 sums, one rounding; never those of tf32
      const double share = (result - sum) / bound;
      if (!(std::fabs(share) <= 1))
        failure = "out[" + std::to_string(r) + ", " + std::to_string(o) + "] is " + std::to_string(result) +
                  ", float64 says " + std::to_string(sum);
      balance.sum += share;
      balance.elements += 1;
      balance.largest = std::max(balance.largest, std::fabs(share));
    }
  if (failure.empty())
    tally.held("project", "cublaslt", balance);
  else
    tally.failed("project", "cublaslt", failure + ", " + gatest::name_of(dtype));
}

}  // namespace

bool check_merges(const Device &device, const Scope &scope, Tally &tally) {
  for (const ga_dtype dtype : {GA_BF16, GA_F16, GA_F32})
    for (const int32_t head_dim : {64, 128, 256}) {
      const gatest::Case c = merge_case(dtype, head_dim);
      const auto action = [&] { check_merge(device, c, scope, tally); };
      if (!guarded(device, tally, "merge", gatest::describe(c), action)) return false;
    }
  return true;
}

bool check_projections(const Device &device, const Scope &scope, Tally &tally) {
  for (const ga_dtype dtype : {GA_BF16, GA_F16, GA_F32})
    for (const bool bias : {false, true}) {
      const auto action = [&] { check_projection(device, dtype, bias, scope, tally); };
      if (!guarded(device, tally, "project", gatest::name_of(dtype), action)) return false;
    }
  return true;
}

bool check_refusals(const Device &device, const Scope &scope, Tally &tally) {
  const auto expect = [&](ga_status status, ga_status expected, const ga_error &error, const char *what) {
    if (status == expected && error.message[0] != '\0')
      tally.held("refusals", "runtime", {});
    else
      tally.failed("refusals", "runtime", std::string(what) + " gave " + ga_status_name(status));
  };
  const auto action = [&] {
    const gatest::Case c = merge_case(GA_BF16, 64);
    gatest::Instance instance(c);
    const Placed placed(device, instance, scope.guards);
    ga_error error{};
    ga_attention_params params = placed.params;
    params.k.data = instance.params.k.data;
    expect(ga_attention_forward(device.runtime(), &params, &error), GA_INVALID_ARGUMENT, error, "memory of the host");
    if (scope.guards == Guards::kKnownBytes) {  // a memory checker would report the allocation that must fail
      void *memory = nullptr;
      error = {};
      expect(ga_memory_allocate(device.runtime(), GA_MEMORY_DEVICE, int64_t{1} << 50, &memory, &error), GA_OUT_OF_MEMORY,
             error, "a petabyte");
    }
    error = {};
    require(ga_attention_forward(device.runtime(), &placed.params, &error), error);  // the device goes on
  };
  return guarded(device, tally, "refusals", "", action);
}

}  // namespace gpu_check
