// Reference vectors of the official implementation: its queries and keys after RoPE, values, scores of the gate; its attention
// output before the gate, and log-sum-exp, all computed in float64.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <stdexcept>

#include "number.h"
#include "reference.h"
#include "series.h"

namespace gpu_check {
namespace {

// A safetensors file of this project's own: what such a header may hold besides is refused by failing to be found.
class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path &path) : path_(path.string()) {
    std::ifstream file(path, std::ios::binary);
    uint64_t length = 0;
    file.read(reinterpret_cast<char *>(&length), sizeof length);
    if (!file || length > (1U << 20)) throw std::runtime_error(path_ + " is no safetensors file");
    header_.resize(length);
    file.read(header_.data(), static_cast<std::streamsize>(length));
    data_.assign(std::istreambuf_iterator<char>(file), {});
  }

  bool has(const std::string &name) const { return header_.find(key(name)) != std::string::npos; }

  std::vector<int64_t> shape(const std::string &name) const { return numbers(name, "\"shape\""); }

  // Of an F64 tensor.
  std::vector<double> values(const std::string &name) const {
    const std::vector<int64_t> range = numbers(name, "\"data_offsets\"");
    if (entry(name).find("\"F64\"") == std::string::npos || range.size() != 2 || range[0] > range[1] ||
        range[1] > static_cast<int64_t>(data_.size()))
      throw std::runtime_error(path_ + " has no f64 tensor " + name);
    std::vector<double> result(static_cast<size_t>(range[1] - range[0]) / sizeof(double));
    std::memcpy(result.data(), data_.data() + range[0], result.size() * sizeof(double));
    return result;
  }

 private:
  static std::string key(const std::string &name) { return "\"" + name + "\":"; }

  std::string entry(const std::string &name) const {
    const size_t at = header_.find(key(name));
    if (at == std::string::npos) throw std::runtime_error(path_ + " has no tensor " + name);
    return header_.substr(at, header_.find('}', at) - at);
  }

  std::vector<int64_t> numbers(const std::string &name, const char *field) const {
    const std::string text = entry(name);
    size_t at = text.find('[', text.find(field));
    std::vector<int64_t> result;
    while (at != std::string::npos && text[at] != ']') {
      char *end = nullptr;
      result.push_back(std::strtoll(text.c_str() + at + 1, &end, 10));
      at = static_cast<size_t>(end - text.c_str());
      at = text.find_first_of(",]", at);
    }
    return result;
  }

  std::string path_, header_;
  std::vector<char> data_;
};

// |a - b| / |b| over all elements.
double relative(const std::vector<double> &a, const std::vector<double> &b) {
  double difference = 0, size = 0;
  for (size_t n = 0; n < b.size(); ++n) {
    difference += (a[n] - b[n]) * (a[n] - b[n]);
    size += b[n] * b[n];
  }
  return std::sqrt(difference / size);
}

void check_step(const Device &device, const GoldenFile &file, const std::string &step, ga_dtype dtype, const Scope &scope,
                Tally &tally) {
  const std::vector<int64_t> q_shape = file.shape(step + ".q_rope_f64"), k_shape = file.shape(step + ".k_rope_f64");
  gatest::Case c;
  c.dtype = dtype;
  c.batch = q_shape.at(0);
  c.seq_q = c.seq_k = q_shape.at(1);
  c.heads_q = static_cast<int32_t>(q_shape.at(2));
  c.heads_kv = static_cast<int32_t>(k_shape.at(2));
  c.head_dim = c.head_dim_v = static_cast<int32_t>(q_shape.at(3));
  c.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.flags = GA_CAUSAL;
  const bool gated = file.has(step + ".gate_logits_f64");
  const int64_t scores = gated ? file.shape(step + ".gate_logits_f64").at(3) : 0;
  gatest::lay_out_densely(c, {.gate = gated, .lse = true});
  if (scores == 1) c.gate.stride = {c.seq_q * c.heads_q, c.heads_q, 1, 0};
  gatest::Instance instance(c);
  const auto fill = [&](const ga_tensor &tensor, const std::string &name) {
    const std::vector<double> values = file.values(step + name);
    for (size_t n = 0; n < values.size(); ++n)
      gatest::store(dtype, static_cast<std::byte *>(tensor.data) + n * static_cast<size_t>(gatest::size_of(dtype)),
                    values[n]);
  };
  fill(instance.params.q, ".q_rope_f64");
  fill(instance.params.k, ".k_rope_f64");
  fill(instance.params.v, ".v_f64");
  if (gated) fill(instance.params.gate, ".gate_logits_f64");
  instance.take_snapshot();
  const gatest::Reference reference = gatest::reference_forward(instance.params);

  Placed placed(device, instance, scope.guards);
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  const ga_status status = ga_attention_plan_for(device.runtime(), &placed.params, &plan, &error);
  if (status == GA_UNSUPPORTED) return tally.refused("golden", error.message);
  require(status, error);
  require(ga_attention_forward(device.runtime(), &placed.params, &error), error);
  device.synchronize();
  gatest::ErrorBalance balance;
  std::string failure = placed.download(instance);
  if (failure.empty()) failure = gatest::compare(instance, reference, &balance);

  // And the vectors themselves: what rounding the inputs to the type may change is in the limit.
  std::vector<double> expected = file.values(step + ".sdpa_out_f64"), result;
  if (gated) {
    const std::vector<double> gate = file.values(step + ".gate_logits_f64");
    for (size_t n = 0; n < expected.size(); ++n)
      expected[n] *= gatest::activate(GA_SIGMOID, gate[scores == 1 ? n / static_cast<size_t>(c.head_dim) : n]);
  }
  for (size_t n = 0; n < expected.size(); ++n)
    result.push_back(gatest::load(
        dtype, static_cast<std::byte *>(instance.params.out.data) + n * static_cast<size_t>(gatest::size_of(dtype))));
  const double distance = relative(result, expected), limit = dtype == GA_F32 ? 2e-6 : dtype == GA_F16 ? 2e-3 : 1.5e-2;
  if (failure.empty() && !(distance <= limit))
    failure = "is " + std::to_string(distance) + " from the official output, more than " + std::to_string(limit);
  const std::string family = Tally::family_of(plan.kernel);
  if (failure.empty())
    tally.held("golden", family, balance);
  else
    tally.failed("golden", family,
                 failure + "\n  " + step + " in " + gatest::name_of(dtype) + ": " + gatest::describe(c));
}

}  // namespace

bool check_golden(const Device &device, const std::string &folder, const Scope &scope, Tally &tally) {
  int64_t found = 0;
  for (const char *name : {"none_h4_kv2_d64", "headwise_h4_kv2_d64", "elementwise_h4_kv2_d64"}) {
    const std::filesystem::path path =
        std::filesystem::path(folder) / "official_attn" / (std::string(name) + ".safetensors");
    if (!std::filesystem::exists(path)) {
      tally.refused("golden", path.string() + " is not there");
      continue;
    }
    const GoldenFile file(path);
    for (int length = 1; length <= 1024; ++length) {
      const std::string step = "s" + std::to_string(length);
      if (!file.has(step + ".q_rope_f64")) continue;
      for (const ga_dtype dtype : {GA_F32, GA_BF16, GA_F16}) {
        ++found;
        const auto action = [&] { check_step(device, file, step, dtype, scope, tally); };
        if (!guarded(device, tally, "golden", step + " of " + name, action)) return false;
      }
    }
  }
  if (found == 0) tally.failed("golden", "none", "no reference vectors were found in " + folder);
  return true;
}

}  // namespace gpu_check
