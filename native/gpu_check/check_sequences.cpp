// Sequences of their own lengths in one call: packed, padded, left-padded, on pages; with int8 keys and values too. Each sequence is
// compared with float64 as if it were alone.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <sstream>
#include <vector>

#include "environment.h"
#include "number.h"
#include "random.h"
#include "reference.h"
#include "series.h"

namespace gpu_check {
namespace {

using gatest::Case;
using gatest::Instance;
using gatest::Random;

enum class Queries { kPacked, kPadded };
enum class Keys { kPacked, kRightPadded, kLeftPadded, kPaged };

constexpr const char *kKeysNames[] = {"packed", "right-padded", "left-padded", "paged"};

// Rows of heads on the host, NaN where no sequence lies, and their mirror on the device.
class Rows {
 public:
  Rows(ga_dtype dtype, int64_t entries, int64_t rows, int64_t heads, int64_t dim)
      : dtype_(dtype), size_(gatest::size_of(dtype)), rows_(rows), heads_(heads), dim_(dim) {
    data_.assign(static_cast<size_t>(entries * rows * heads * dim * size_), std::byte{0xff});
  }
  std::byte *row(int64_t entry, int64_t row) { return data_.data() + (entry * rows_ + row) * row_bytes(); }
  int64_t row_bytes() const { return heads_ * dim_ * size_; }

  ga_tensor place(const Device &device, Guards guards) {
    mirror_ = std::make_unique<Mirror>(device, data_.data(), static_cast<int64_t>(data_.size()), guards);
    return {
        mirror_->data(), static_cast<int64_t>(data_.size()), {rows_ * heads_ * dim_, heads_ * dim_, dim_, 1}, dtype_, 0};
  }
  // Empty, or what was written around or, unless it is an output, into it.
  std::string fetch(bool output) {
    const std::vector<std::byte> before = data_;
    const std::string around = mirror_->download(data_.data());
    if (!around.empty()) return "the call " + around;
    return output || data_ == before ? "" : "the call changed an input";
  }

 private:
  ga_dtype dtype_;
  int64_t size_, rows_, heads_, dim_;
  std::vector<std::byte> data_;
  std::unique_ptr<Mirror> mirror_;
};

struct Numbers {
  Numbers(const std::vector<int32_t> &values, int64_t columns, const Device &device, Guards guards)
      : columns_(columns),
        bytes_(static_cast<int64_t>(values.size()) * 4),
        mirror_(device, reinterpret_cast<const std::byte *>(values.data()), bytes_, guards) {}
  ga_tensor tensor() const { return {mirror_.data(), bytes_, {columns_, 1, 1, 1}, GA_I32, 0}; }

 private:
  int64_t columns_, bytes_;
  Mirror mirror_;
};

// Keys or values as whole numbers times a power of two, and in f32 what those stand for, exactly.
struct Quantized {
  std::vector<int8_t> numbers;
  std::vector<float> scales;

  Quantized(const Instance &instance, const gatest::View &view, Random &random) {
    for (int64_t j = 0; j < view.extent[1]; ++j)
      for (int64_t h = 0; h < view.extent[2]; ++h) {
        const float scale = random.pick({0x1p-6F, 0x1p-5F, 0x1p-4F});
        scales.push_back(scale);
        for (int64_t d = 0; d < view.extent[3]; ++d) {
          std::byte *at = instance.address(view, 0, j, h, d);
          const double whole =
              std::clamp(std::nearbyint(gatest::load(GA_F32, at) / static_cast<double>(scale)), -127.0, 127.0);
          numbers.push_back(static_cast<int8_t>(whole));
          gatest::store(GA_F32, at, whole * static_cast<double>(scale));
        }
      }
  }
};

struct Sequence {
  std::unique_ptr<Instance> instance;
  gatest::Reference reference;
  std::vector<Quantized> quantized;  // k and v where they are int8

  int64_t queries() const { return instance->params.seq_q; }
  int64_t keys() const { return instance->params.seq_k; }
};

struct Shape {
  Case common;
  Queries queries = Queries::kPacked;
  Keys keys = Keys::kPacked;
  bool int8 = false;
  int32_t page_size = 16;
  std::vector<std::pair<int64_t, int64_t>> lengths;  // queries and keys of each

  std::string describe() const {
    std::ostringstream text;
    text << (queries == Queries::kPacked ? "packed" : "padded") << " queries, " << kKeysNames[static_cast<int>(keys)]
         << (int8 ? " int8" : "") << " keys, page size " << page_size << ", lengths";
    for (const auto &[q, k] : lengths) text << ' ' << q << '/' << k;
    text << ": " << gatest::describe(common);
    return text.str();
  }
};

Shape random_shape(uint64_t seed, bool decode) {
  Random random(seed);
  Shape shape;
  Case &c = shape.common;
  c.seed = seed;
  c.dtype = random.pick<ga_dtype>({GA_BF16, GA_BF16, GA_F16, GA_F32});
  c.head_dim = c.head_dim_v = random.pick<int32_t>({64, 96, 128, 192, 256});
  c.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.heads_kv = random.pick<int32_t>({1, 2, 4});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 2, 4, 7, 8});
  c.activation = static_cast<ga_activation>(random.below(7));
  c.combination = random.chance(0.2) ? GA_ADD : GA_MULTIPLY;
  if (random.chance(0.7)) c.flags |= GA_CAUSAL;
  if (random.chance(0.25)) c.window_left = random.between(0, 200);
  shape.queries = random.chance(0.5) ? Queries::kPacked : Queries::kPadded;
  shape.keys = static_cast<Keys>(random.below(4));
  if (decode && random.chance(0.6)) shape.keys = Keys::kPaged;
  shape.int8 = random.chance(0.2);
  shape.page_size = random.pick<int32_t>({1, 16, 16, 64, 256});
  const int64_t batch = random.between(1, decode ? 6 : 4);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t queries = decode ? random.pick<int64_t>({1, 1, 1, 2, 4}) : random.between(0, 200);
    shape.lengths.emplace_back(queries, random.chance(0.1) ? 0 : random.between(1, decode ? 1500 : 300));
  }
  return shape;
}

std::vector<Sequence> sequences_of(const Shape &shape) {
  std::vector<Sequence> sequences;
  Random random(shape.common.seed * 3);
  for (const auto &[queries, keys] : shape.lengths) {
    Case c = shape.common;
    c.seed = random.next();
    c.seq_q = queries;
    c.seq_k = keys;
    gatest::lay_out_densely(c, {.gate = true, .lse = true});
    if (shape.int8) {
      c.k = gatest::own_block(c, GA_F32, c.k.extent);
      c.v = gatest::own_block(c, GA_F32, c.v.extent);
    }
    Sequence s;
    s.instance = std::make_unique<Instance>(c);
    if (shape.int8) {
      s.quantized.emplace_back(*s.instance, c.k, random);
      s.quantized.emplace_back(*s.instance, c.v, random);
    }
    s.reference = gatest::reference_forward(s.instance->params);
    sequences.push_back(std::move(s));
  }
  return sequences;
}

void copy_rows(Rows &to, int64_t entry, int64_t row, const void *from, int64_t rows) {
  if (rows > 0) std::memcpy(to.row(entry, row), from, static_cast<size_t>(rows * to.row_bytes()));
}

// Where sequence b has its row r: entry and row of the buffer.
struct Spot {
  int64_t entry, row;
};

void check_shape(const Device &device, const Shape &shape, const std::string &check, const Scope &scope, Tally &tally) {
  gatest::announce_case(shape.describe());
  const Case &c = shape.common;
  const bool packed_q = shape.queries == Queries::kPacked, packed_k = shape.keys == Keys::kPacked;
  const bool paged = shape.keys == Keys::kPaged;
  std::vector<Sequence> sequences = sequences_of(shape);
  const auto batch = static_cast<int64_t>(sequences.size());
  std::vector<int32_t> query_lengths, key_lengths, key_starts, cu_q{0}, cu_k{0};
  int64_t most_q = 0, most_k = 0;
  for (const Sequence &s : sequences) {
    query_lengths.push_back(static_cast<int32_t>(s.queries()));
    key_lengths.push_back(static_cast<int32_t>(s.keys()));
    cu_q.push_back(cu_q.back() + query_lengths.back());
    cu_k.push_back(cu_k.back() + key_lengths.back());
    most_q = std::max(most_q, s.queries());
    most_k = std::max(most_k, s.keys());
  }
  for (const Sequence &s : sequences) key_starts.push_back(static_cast<int32_t>(most_k - s.keys()));

  // Pages in an order of their own, and two that nobody uses.
  const int64_t per_sequence = (most_k + shape.page_size - 1) / shape.page_size, pages = batch * per_sequence + 2;
  std::vector<int32_t> order(static_cast<size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  Random random(c.seed * 5);
  for (size_t n = order.size(); n > 1; --n)
    std::swap(order[n - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(n)))]);
  const std::vector<int32_t> table(order.begin(), order.end() - 2);

  const auto key_spot = [&](int64_t b, int64_t j) -> Spot {
    const auto at = static_cast<size_t>(b);
    if (paged)
      return {table[at * static_cast<size_t>(per_sequence) + static_cast<size_t>(j / shape.page_size)],
              j % shape.page_size};
    if (packed_k) return {0, cu_k[at] + j};
    return {b, shape.keys == Keys::kLeftPadded ? key_starts[at] + j : j};
  };
  const auto query_spot = [&](int64_t b) -> Spot {
    return packed_q ? Spot{0, cu_q[static_cast<size_t>(b)]} : Spot{b, 0};
  };

  const int64_t key_entries = paged ? pages : packed_k ? 1 : batch;
  const int64_t key_rows = paged ? shape.page_size : packed_k ? cu_k.back() : most_k;
  const ga_dtype key_type = shape.int8 ? GA_I8 : c.dtype;
  Rows k(key_type, key_entries, key_rows, c.heads_kv, c.head_dim),
      v(key_type, key_entries, key_rows, c.heads_kv, c.head_dim);
  Rows k_scale(GA_F32, key_entries, key_rows, c.heads_kv, 1), v_scale(GA_F32, key_entries, key_rows, c.heads_kv, 1);
  const int64_t entries = packed_q ? 1 : batch, rows = packed_q ? cu_q.back() : most_q;
  Rows q(c.dtype, entries, rows, c.heads_q, c.head_dim), gate(c.dtype, entries, rows, c.heads_q, c.head_dim);
  Rows out(c.dtype, entries, rows, c.heads_q, c.head_dim), lse(GA_F32, entries, rows, c.heads_q, 1);
  for (int64_t b = 0; b < batch; ++b) {
    const Sequence &s = sequences[static_cast<size_t>(b)];
    const ga_attention_params &own = s.instance->params;
    for (int64_t j = 0; j < s.keys(); ++j) {
      const auto [entry, row] = key_spot(b, j);
      if (shape.int8) {
        copy_rows(k, entry, row, s.quantized[0].numbers.data() + j * k.row_bytes(), 1);
        copy_rows(v, entry, row, s.quantized[1].numbers.data() + j * v.row_bytes(), 1);
        copy_rows(k_scale, entry, row, s.quantized[0].scales.data() + j * c.heads_kv, 1);
        copy_rows(v_scale, entry, row, s.quantized[1].scales.data() + j * c.heads_kv, 1);
      } else {
        copy_rows(k, entry, row, static_cast<const std::byte *>(own.k.data) + j * k.row_bytes(), 1);
        copy_rows(v, entry, row, static_cast<const std::byte *>(own.v.data) + j * v.row_bytes(), 1);
      }
    }
    const auto [entry, row] = query_spot(b);
    copy_rows(q, entry, row, own.q.data, s.queries());
    copy_rows(gate, entry, row, own.gate.data, s.queries());
  }

  const Guards guards = scope.guards;
  const Numbers q_lengths(query_lengths, 1, device, guards), k_lengths(key_lengths, 1, device, guards),
      starts(key_starts, 1, device, guards), cumulative_q(cu_q, 1, device, guards), cumulative_k(cu_k, 1, device, guards),
      block_table(table, per_sequence, device, guards);
  ga_attention_params params = sequences.front().instance->params;
  params.batch = batch;
  params.seq_q = rows;
  params.seq_k = paged ? most_k : key_rows;
  params.q = q.place(device, guards);
  params.k = k.place(device, guards);
  params.v = v.place(device, guards);
  params.gate = gate.place(device, guards);
  params.out = out.place(device, guards);
  params.lse = lse.place(device, guards);
  if (shape.int8) {
    params.k_scale = k_scale.place(device, guards);
    params.v_scale = v_scale.place(device, guards);
  }
  (packed_q ? params.cu_seqlens_q : params.query_lengths) = packed_q ? cumulative_q.tensor() : q_lengths.tensor();
  if (packed_k) params.cu_seqlens_k = cumulative_k.tensor();
  if (shape.keys == Keys::kLeftPadded) params.key_starts = starts.tensor();
  if (shape.keys == Keys::kRightPadded || paged) params.key_lengths = k_lengths.tensor();
  if (paged) {
    params.block_table = block_table.tensor();
    params.page_size = shape.page_size;
    params.pages = pages;
  }

  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  const ga_status status = ga_attention_plan_for(device.runtime(), &params, &plan, &error);
  if (status == GA_UNSUPPORTED) return tally.refused(check, error.message);
  require(status, error);
  const std::string family = Tally::family_of(plan.kernel);
  const auto fail = [&](const std::string &text) {
    tally.failed(check, family, text + "\n  " + plan.kernel + ", " + shape.describe());
  };
  require(ga_attention_forward(device.runtime(), &params, &error), error);
  device.synchronize();
  for (Rows *input : {&q, &k, &v, &gate})
    if (const std::string changed = input->fetch(false); !changed.empty()) return fail(changed);
  for (Rows *output : {&out, &lse})
    if (const std::string around = output->fetch(true); !around.empty()) return fail(around);

  gatest::ErrorBalance balance;
  for (int64_t b = 0; b < batch; ++b) {
    const Sequence &s = sequences[static_cast<size_t>(b)];
    const ga_attention_params &own = s.instance->params;
    const auto [entry, row] = query_spot(b);
    if (s.queries() == 0) continue;
    std::memcpy(own.out.data, out.row(entry, row), static_cast<size_t>(s.queries() * out.row_bytes()));
    std::memcpy(own.lse.data, lse.row(entry, row), static_cast<size_t>(s.queries() * lse.row_bytes()));
    const std::string failure = gatest::compare(*s.instance, s.reference, &balance);
    if (!failure.empty()) return fail("sequence " + std::to_string(b) + ": " + failure);
  }
  tally.held(check, family, balance);
}

}  // namespace

bool check_sequences(const Device &device, const Scope &scope, Tally &tally) {
  const int64_t cases = std::max<int64_t>(8, scope.cases / 4);
  for (int64_t n = 0; n < cases; ++n) {
    const bool decode = n % 2 == 1;
    const std::string check = decode ? "decode" : "sequences";
    const Shape shape = random_shape(gatest::case_seed(77, n), decode);
    const auto action = [&] { check_shape(device, shape, check, scope, tally); };
    if (!guarded(device, tally, check, shape.describe(), action)) return false;
  }
  return true;
}

}  // namespace gpu_check
