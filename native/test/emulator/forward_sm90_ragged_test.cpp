// Packed and padded batches on the Hopper kernels: each sequence as float64 has it alone, and nothing written beside it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "emulated_call.h"
#include "environment.h"
#include "forward_sm90_call.h"
#include "lengths.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

// [entries, rows, heads, dim], all of it NaN until something is written.
struct Rows {
  ga_dtype dtype;
  int64_t rows, heads, dim, row_bytes;
  std::vector<std::byte> storage;
  std::byte *data;

  Rows(ga_dtype type, int64_t entries, int64_t row_count, int64_t head_count, int64_t columns)
      : dtype(type), rows(row_count), heads(head_count), dim(columns), row_bytes(heads * dim * size_of(type)) {
    storage.assign(static_cast<size_t>(entries * rows * row_bytes) + 32, std::byte{0xff});
    data = storage.data() + (16 - reinterpret_cast<uintptr_t>(storage.data()) % 16) % 16;
  }
  std::byte *at(int64_t entry, int64_t row) { return data + (entry * rows + row) * row_bytes; }
  ga_tensor tensor(int64_t entries) {
    ga_tensor t{};
    t.data = data;
    t.bytes = entries * rows * row_bytes;
    t.stride[0] = rows * heads * dim;
    t.stride[1] = heads * dim;
    t.stride[2] = dim;
    t.stride[3] = 1;
    t.dtype = dtype;
    return t;
  }
  bool untouched(int64_t entry, int64_t row) {
    return std::all_of(at(entry, row), at(entry, row) + row_bytes, [](std::byte b) { return b == std::byte{0xff}; });
  }
};

enum class Keys { kPacked, kRightPadded, kLeftPadded };

// Empty when every sequence of the batch is right.
std::string run_ragged(uint64_t seed, bool packed_queries, Keys keys) {
  Random random(seed);
  Case common;
  common.head_dim = common.head_dim_v = random.pick<int32_t>({64, 64, 96, 128, 256});
  common.heads_kv = random.pick<int32_t>({1, 2});
  common.heads_q = common.heads_kv * random.pick<int32_t>({1, 2});
  common.dtype = random.pick<ga_dtype>({GA_BF16, GA_F16});
  common.scale = 1 / std::sqrt(static_cast<float>(common.head_dim));
  if (random.chance(0.6)) common.flags |= GA_CAUSAL;
  if (random.chance(0.3)) common.window_left = random.between(0, 150);
  common.activation = static_cast<ga_activation>(random.below(7));
  common.combination = random.chance(0.3) ? GA_ADD : GA_MULTIPLY;

  const int64_t batch = random.between(1, 4);
  std::vector<std::unique_ptr<Instance>> alone;
  std::vector<int32_t> query_lengths, key_lengths, key_starts, cu_q{0}, cu_k{0};
  for (int64_t b = 0; b < batch; ++b) {
    Case c = common;
    c.seed = seed + static_cast<uint64_t>(b);
    c.seq_q = random.chance(0.5) ? random.between(0, 5) : random.between(1, 200);
    c.seq_k = random.chance(0.15) ? 0 : random.between(1, 260);
    lay_out_densely(c, {.gate = true});
    alone.push_back(std::make_unique<Instance>(c));
    query_lengths.push_back(static_cast<int32_t>(c.seq_q));
    key_lengths.push_back(static_cast<int32_t>(c.seq_k));
    cu_q.push_back(cu_q.back() + query_lengths.back());
    cu_k.push_back(cu_k.back() + key_lengths.back());
  }
  const int64_t most_q = *std::max_element(query_lengths.begin(), query_lengths.end()) + 3;
  const int64_t most_k = *std::max_element(key_lengths.begin(), key_lengths.end()) + 5;
  const bool packed_keys = keys == Keys::kPacked;
  const int64_t query_entries = packed_queries ? 1 : batch, key_entries = packed_keys ? 1 : batch;
  const int64_t query_rows = packed_queries ? cu_q.back() + 4 : most_q, key_rows = packed_keys ? cu_k.back() + 4 : most_k;

  Rows q(common.dtype, query_entries, query_rows, common.heads_q, common.head_dim);
  Rows gate(common.dtype, query_entries, query_rows, common.heads_q, common.head_dim);
  Rows out(common.dtype, query_entries, query_rows, common.heads_q, common.head_dim);
  Rows lse(GA_F32, query_entries, query_rows, common.heads_q, 1);
  Rows k(common.dtype, key_entries, key_rows, common.heads_kv, common.head_dim);
  Rows v(common.dtype, key_entries, key_rows, common.heads_kv, common.head_dim);
  const auto query_row = [&](int64_t b) { return packed_queries ? int64_t{cu_q[static_cast<size_t>(b)]} : 0; };
  for (int64_t b = 0; b < batch; ++b) {
    const ga_attention_params &own = alone[static_cast<size_t>(b)]->params;
    const int64_t key_row = packed_keys                 ? cu_k[static_cast<size_t>(b)]
                            : keys == Keys::kLeftPadded ? most_k - own.seq_k
                                                        : 0;
    key_starts.push_back(static_cast<int32_t>(key_row));
    const auto copy = [&](Rows &to, bool packed, int64_t row, const ga_tensor &from, int64_t n) {
      if (n > 0) std::memcpy(to.at(packed ? 0 : b, row), from.data, static_cast<size_t>(n * to.row_bytes));
    };
    copy(q, packed_queries, query_row(b), own.q, own.seq_q);
    copy(gate, packed_queries, query_row(b), own.gate, own.seq_q);
    copy(k, packed_keys, key_row, own.k, own.seq_k);
    copy(v, packed_keys, key_row, own.v, own.seq_k);
    for (int64_t i = own.seq_q; !packed_queries && i < query_rows; ++i)  // gates of padding rows count
      std::memset(gate.at(b, i), 0, static_cast<size_t>(gate.row_bytes));
  }

  ga_attention_params params = alone.front()->params;
  params.batch = batch;
  params.seq_q = query_rows;
  params.seq_k = key_rows;
  params.q = q.tensor(query_entries);
  params.gate = gate.tensor(query_entries);
  params.out = out.tensor(query_entries);
  params.lse = lse.tensor(query_entries);
  params.k = k.tensor(key_entries);
  params.v = v.tensor(key_entries);
  (packed_queries ? params.cu_seqlens_q : params.query_lengths) = numbers(packed_queries ? cu_q : query_lengths);
  if (packed_keys) params.cu_seqlens_k = numbers(cu_k);
  if (keys == Keys::kRightPadded) params.key_lengths = numbers(key_lengths);
  if (keys == Keys::kLeftPadded) params.key_starts = numbers(key_starts);

  ga::Problem p;
  std::string failure = problem_of(params, p);
  gaemu::Options options;
  options.seed = seed;
  options.asynchronous =
      random.pick({gaemu::Asynchronous::kEager, gaemu::Asynchronous::kRandom, gaemu::Asynchronous::kLate});
  if (failure.empty()) failure = launch_forward_sm90(p, options, static_cast<int>(random.between(1, 3)));
  for (int64_t b = 0; failure.empty() && b < batch; ++b) {
    Instance &own = *alone[static_cast<size_t>(b)];
    const Case &c = own.description();
    const int64_t entry = packed_queries ? 0 : b;
    if (c.seq_q > 0) {
      std::memcpy(own.params.out.data, out.at(entry, query_row(b)), static_cast<size_t>(c.seq_q * out.row_bytes));
      std::memcpy(own.params.lse.data, lse.at(entry, query_row(b)), static_cast<size_t>(c.seq_q * lse.row_bytes));
      failure = compare(own, reference_forward(own.params), nullptr);
      if (!failure.empty())
        failure += "\n  sequence " + std::to_string(b) + " of " + std::to_string(batch) + ": " + describe(c);
    }
    for (int64_t i = c.seq_q; failure.empty() && !packed_queries && i < query_rows; ++i) {
      const double expected = c.combination == GA_ADD ? activate(c.activation, 0) : 0;
      const double first = load(c.dtype, out.at(b, i)), last = load(GA_F32, lse.at(b, i));
      if (std::fabs(first - expected) > 0.01 || !(last < 0 && std::isinf(last)))
        failure = "a row of padding is not as one without keys";
    }
  }
  for (int64_t i = cu_q.back(); failure.empty() && packed_queries && i < query_rows; ++i) {
    if (!out.untouched(0, i) || !lse.untouched(0, i)) failure = "a row of no sequence was written";
  }
  return failure;
}

TEST(ForwardSm90, Ragged) {
  const int64_t cases = setting("GA_EMULATED_CASES", 48) / 2;
  for (int64_t n = 0; n < cases; ++n) {
    const uint64_t seed = case_seed(static_cast<uint64_t>(setting("GA_RANDOM_SEED", 1)) + 1000, n);
    const auto keys = static_cast<Keys>(n % 3);
    ASSERT_EQ("", run_ragged(seed, n / 3 % 2 == 0, keys)) << "case " << n;
  }
}

}  // namespace
}  // namespace gatest
