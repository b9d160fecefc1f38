#include "timed_call.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "number.h"
#include "random.h"
#include "reference.h"

namespace gpu_check {
namespace {

constexpr int64_t kBf16 = 2;
constexpr int64_t kMostSets = 64;
constexpr int kSampledRows = 6;

int64_t rounded_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

ga_tensor rows_of(std::byte *data, int64_t entries, int64_t rows, int64_t heads, int64_t dim) {
  return {data, entries * rows * heads * dim * kBf16, {rows * heads * dim, heads * dim, dim, 1}, GA_BF16, 0};
}

// A part of the host's copy of a tensor of the device.
struct Copy {
  std::vector<std::byte> bytes;
  ga_tensor tensor;
  Copy(const Device &device, const ga_tensor &there) : bytes(static_cast<size_t>(there.bytes)), tensor(there) {
    device.copy(bytes.data(), there.data, there.bytes);
    tensor.data = bytes.data();
  }
  std::byte *at(int64_t entry, int64_t row, int64_t head) const {
    return static_cast<std::byte *>(tensor.data) + gatest::element_offset(tensor, entry, row, head, 0) * kBf16;
  }
};

}  // namespace

const char *name_of(GateKind gate) {
  switch (gate) {
    case GateKind::kNone: return "none";
    case GateKind::kHeadWise: return "head-wise";
    default: return "element-wise";
  }
}

// A block of random numbers from the host, once; then copies of it at odd distances.
Arena::Arena(const Device &device, int64_t bytes) : inputs_(device, bytes), outputs_(device, bytes / 4) {
  const int64_t count = std::min<int64_t>(bytes, 16 << 20) / kBf16;
  std::vector<uint16_t> numbers(static_cast<size_t>(count));
  gatest::Random random(20261124);
  for (uint16_t &number : numbers) number = gatest::bf16_of_float(static_cast<float>(random.normal()));
  const int64_t block = count * kBf16 - 4098;
  for (int64_t at = 0; at < bytes; at += block)
    device.copy(inputs_.data() + at, reinterpret_cast<std::byte *>(numbers.data()) + at / block % 2048 * kBf16,
                std::min(block, bytes - at));
}

std::byte *Arena::take(const Memory &memory, int64_t &used, int64_t bytes) {
  if (used + bytes > memory.bytes()) return nullptr;
  std::byte *result = memory.data() + used;
  used += rounded_up(bytes, 256);
  return result;
}

CellOperands::CellOperands(const Device &device, const Cell &cell, Arena &arena, int64_t l2_bytes) : cell_(cell) {
  const int64_t q_bytes = cell.batch * cell.seq_q * cell.heads_q * cell.head_dim * kBf16;
  const int64_t k_bytes = cell.batch * cell.seq_k * cell.heads_kv * cell.head_dim * kBf16;
  const int64_t bytes = 3 * q_bytes + 2 * k_bytes;
  const int64_t wanted = std::clamp<int64_t>(2 * l2_bytes / bytes + 2, 2, kMostSets);
  arena.reset();
  if (cell.page_size > 0) {
    const int64_t per_sequence = cell.seq_k / cell.page_size, pages = cell.batch * per_sequence;
    table_.resize(static_cast<size_t>(pages));
    std::iota(table_.begin(), table_.end(), 0);
    gatest::Random random(3);
    for (size_t n = table_.size(); n > 1; --n)
      std::swap(table_[n - 1], table_[static_cast<size_t>(random.below(static_cast<int64_t>(n)))]);
    table_memory_ = std::make_unique<Memory>(device, pages * 4);
    device.copy(table_memory_->data(), table_.data(), pages * 4);
    const std::vector<int32_t> lengths(static_cast<size_t>(cell.batch), static_cast<int32_t>(cell.seq_k));
    lengths_memory_ = std::make_unique<Memory>(device, cell.batch * 4);
    device.copy(lengths_memory_->data(), lengths.data(), cell.batch * 4);
  }
  for (int64_t n = 0; n < wanted; ++n) {
    std::byte *q = arena.take_input(q_bytes), *gate = arena.take_input(q_bytes), *k = arena.take_input(k_bytes),
              *v = arena.take_input(k_bytes), *out = arena.take_output(q_bytes);
    if (!v || !out) break;
    ga_attention_params p{};
    p.struct_size = sizeof p;
    p.batch = cell.batch;
    p.seq_q = cell.seq_q;
    p.seq_k = cell.seq_k;
    p.heads_q = cell.heads_q;
    p.heads_kv = cell.heads_kv;
    p.head_dim = p.head_dim_v = cell.head_dim;
    p.window_left = p.window_right = -1;
    p.scale = 1 / std::sqrt(static_cast<float>(cell.head_dim));
    p.flags = cell.causal ? GA_CAUSAL : 0;
    p.q = rows_of(q, cell.batch, cell.seq_q, cell.heads_q, cell.head_dim);
    p.gate = rows_of(gate, cell.batch, cell.seq_q, cell.heads_q, cell.head_dim);
    p.out = rows_of(out, cell.batch, cell.seq_q, cell.heads_q, cell.head_dim);
    const bool paged = cell.page_size > 0;
    const int64_t entries = paged ? static_cast<int64_t>(table_.size()) : cell.batch,
                  rows = paged ? cell.page_size : cell.seq_k;
    p.k = rows_of(k, entries, rows, cell.heads_kv, cell.head_dim);
    p.v = rows_of(v, entries, rows, cell.heads_kv, cell.head_dim);
    if (paged) {
      p.pages = entries;
      p.page_size = cell.page_size;
      p.block_table = {table_memory_->data(), entries * 4, {cell.seq_k / cell.page_size, 1, 1, 1}, GA_I32, 0};
      p.key_lengths = {lengths_memory_->data(), cell.batch * 4, {1, 1, 1, 1}, GA_I32, 0};
    }
    params_.push_back(p);
  }
  if (params_.size() < 2)
    throw std::runtime_error("two sets of operands of " + std::to_string(bytes >> 20) + " MiB do not fit into the " +
                             std::to_string(arena.bytes() >> 20) + " MiB there are for them");
}

std::vector<ga_attention_params> CellOperands::params(GateKind gate) const {
  std::vector<ga_attention_params> result = params_;
  for (ga_attention_params &p : result) {
    if (gate == GateKind::kNone) p.gate = {};
    if (gate == GateKind::kHeadWise)
      p.gate = {p.gate.data, p.batch * p.seq_q * p.heads_q * kBf16, {p.seq_q * p.heads_q, p.heads_q, 1, 0}, GA_BF16, 0};
  }
  return result;
}

// Each sampled row is a call of its own on the host: one query, one head, the keys that the row sees.
double CellOperands::sampled_error(const Device &device) const {
  ga_attention_params call = params(GateKind::kElementWise).front();
  ga_error error{};
  require(ga_attention_forward(device.runtime(), &call, &error), error);
  device.synchronize();
  const Copy q(device, call.q), k(device, call.k), v(device, call.v), gate(device, call.gate), out(device, call.out);
  gatest::Random random(17);
  double worst = 0;
  for (int n = 0; n < kSampledRows; ++n) {
    const int64_t b = random.below(cell_.batch), row = n == 0 ? cell_.seq_q - 1 : random.below(cell_.seq_q);
    const int64_t head = random.below(cell_.heads_q), kv_head = head / (cell_.heads_q / cell_.heads_kv),
                  dim = cell_.head_dim;
    const int64_t keys = cell_.causal ? row + 1 + cell_.seq_k - cell_.seq_q : cell_.seq_k;
    std::vector<std::byte> own_k(static_cast<size_t>(keys * dim * kBf16)), own_v(own_k.size());
    for (int64_t j = 0; j < keys; ++j) {
      const bool paged = cell_.page_size > 0;
      const int64_t entry =
          paged ? table_[static_cast<size_t>(b * (cell_.seq_k / cell_.page_size) + j / cell_.page_size)] : b;
      const int64_t at = paged ? j % cell_.page_size : j;
      std::memcpy(own_k.data() + j * dim * kBf16, k.at(entry, at, kv_head), static_cast<size_t>(dim * kBf16));
      std::memcpy(own_v.data() + j * dim * kBf16, v.at(entry, at, kv_head), static_cast<size_t>(dim * kBf16));
    }
    ga_attention_params p = call;
    p.batch = p.seq_q = 1;
    p.seq_k = keys;
    p.heads_q = p.heads_kv = 1;
    p.flags = 0;
    p.q = rows_of(q.at(b, row, head), 1, 1, 1, dim);
    p.gate = rows_of(gate.at(b, row, head), 1, 1, 1, dim);
    p.k = rows_of(own_k.data(), 1, keys, 1, dim);
    p.v = rows_of(own_v.data(), 1, keys, 1, dim);
    p.block_table = p.key_lengths = {};
    p.pages = 0;
    p.page_size = 0;
    const gatest::Reference reference = gatest::reference_forward(p);
    for (int64_t d = 0; d < dim; ++d) {
      const double result = gatest::load(GA_BF16, out.at(b, row, head) + d * kBf16);
      const double share =
          std::fabs(result - reference.out[static_cast<size_t>(d)]) / reference.out_bound[static_cast<size_t>(d)];
      worst = share <= worst ? worst : std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
    }
  }
  return worst;
}

TimedCall::TimedCall(const Device &device, const Driver &driver, std::vector<ga_attention_params> params)
    : device_(device),
      stream_(device),
      params_(std::move(params)),
      timer_(driver, stream_.handle(), [this] { stream_.synchronize(); }) {
  for (ga_attention_params &p : params_) p.stream = stream_.handle();
  launch();  // kernels are loaded, the stream gets its scratch memory
  stream_.synchronize();
  if (!driver.absent()) graph_ = std::make_unique<Graph>(stream_.handle(), [this] { launch(); });
}

void TimedCall::launch() {
  if (graph_) return graph_->launch();
  for (const ga_attention_params &p : params_) {
    ga_error error{};
    require(ga_attention_forward(device_.runtime(), &p, &error), error);
  }
}

double TimedCall::turn(double milliseconds) {
  launch();
  stream_.synchronize();
  std::vector<double> times;
  double total = 0;
  while (times.size() < 3 || (total < milliseconds * 1000 && times.size() < 200)) {
    const double time = timer_.microseconds([this] { launch(); });
    total += time;
    times.push_back(time / static_cast<double>(params_.size()));
  }
  std::nth_element(times.begin(), times.begin() + static_cast<long>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

}  // namespace gpu_check
