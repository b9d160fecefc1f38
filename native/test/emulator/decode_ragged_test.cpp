// Decode of padded, packed and paged sequences: each gives what float64 says of it alone. Lengths and page numbers are read by the
// kernel; pages come in any order, in any size, and are shared where sequences begin alike.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "emulated_call.h"
#include "emulated_decode.h"
#include "environment.h"
#include "lengths.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

using gaemu::Asynchronous;
using gaemu::Blocks;
using gaemu::Options;

enum class Queries { kPacked, kPadded };
enum class Keys { kPacked, kRightPadded, kLeftPadded, kPaged };

// Rows [entry][row][heads][dim], NaN where nothing is put.
class Rows {
 public:
  Rows(ga_dtype dtype, int64_t entries, int64_t rows, int64_t heads, int64_t dim)
      : dtype_(dtype), rows_(rows), row_elements_(heads * dim), dim_(dim) {
    bytes_ = entries * rows * row_bytes();
    words_.assign(static_cast<size_t>(bytes_ / 8) + 3, ~uint64_t{0});  // 16-byte aligned with room to spare
  }
  int64_t row_bytes() const { return row_elements_ * size_of(dtype_); }
  std::byte *at(int64_t entry, int64_t row) {
    auto *first = reinterpret_cast<std::byte *>(words_.data());
    first += (16 - reinterpret_cast<uintptr_t>(first) % 16) % 16;
    return first + (entry * rows_ + row) * row_bytes();
  }
  // row_count rows from a dense tensor's row on.
  void put(int64_t entry, int64_t row, const ga_tensor &from, int64_t from_row, int64_t row_count) {
    if (row_count > 0)
      std::memcpy(at(entry, row), static_cast<const std::byte *>(from.data) + from_row * row_bytes(),
                  static_cast<size_t>(row_count * row_bytes()));
  }
  ga_tensor tensor() {
    ga_tensor t{};
    t.data = at(0, 0);
    t.bytes = bytes_;
    t.stride[0] = rows_ * row_elements_;
    t.stride[1] = row_elements_;
    t.stride[2] = dim_;
    t.stride[3] = 1;
    t.dtype = dtype_;
    return t;
  }

 private:
  ga_dtype dtype_;
  int64_t rows_, row_elements_, dim_, bytes_;
  std::vector<uint64_t> words_;
};

Case common_case(Random &random) {
  Case c;
  c.dtype = random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16});
  c.heads_kv = random.pick<int32_t>({1, 2, 3});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 2, 3, 4});
  c.head_dim = random.pick<int32_t>({64, 40, 128, 256});
  c.head_dim_v = random.chance(0.7) ? c.head_dim : 72;
  c.flags = random.chance(0.7) ? GA_CAUSAL : 0;
  if (random.chance(0.3)) c.window_left = random.pick<int64_t>({0, 5, 64, 100});
  c.activation = random.pick<ga_activation>({GA_SIGMOID, GA_SILU, GA_TANH});
  if (random.chance(0.2)) c.pre_gate = GA_PRE_SILU;
  c.layout = "ragged";
  return c;
}

struct Alone {
  Case c;
  Instance instance;
  explicit Alone(const Case &given) : c(given), instance(given) {}
};

std::vector<Alone> sequences_of(const Case &common, Random &random) {
  std::vector<Alone> all;
  const int64_t batch = random.between(1, 5);
  const bool one_query = random.chance(0.5);
  all.reserve(static_cast<size_t>(batch));
  for (int64_t b = 0; b < batch; ++b) {
    Case c = common;
    c.seed = random.next();
    c.batch = 1;
    c.seq_q = one_query ? 1 : random.between(0, 5);
    c.seq_k = random.chance(0.15) ? 0 : random.between(1, 330);
    lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
    all.emplace_back(c);
  }
  return all;
}

struct Ragged {
  std::vector<int32_t> query_lengths, key_lengths, key_starts, cu_q{0}, cu_k{0}, table;
  int64_t most_q = 0, most_k = 0, page_size = 0, per_sequence = 0, pages = 0;
};

// Empty when every sequence's rows are what float64 says. break_page: one page number is a wrong one.
std::string difference(std::vector<Alone> &all, Queries queries, Keys keys, Random &random, bool break_page = false) {
  const Case &c = all.front().c;
  const auto batch = static_cast<int64_t>(all.size());
  const bool packed_q = queries == Queries::kPacked, packed_k = keys == Keys::kPacked, paged = keys == Keys::kPaged;
  Ragged r;
  if (paged) {
    r.page_size = random.pick<int32_t>({1, 3, 16, 64, 256});
    // Sequences that begin alike share the pages of it.
    const ga_attention_params &first = all[0].instance.params;
    for (size_t b = 1; b < all.size(); b += 2) {
      const ga_attention_params &own = all[b].instance.params;
      const int64_t alike = std::min(first.seq_k, own.seq_k) / r.page_size * r.page_size;
      const int64_t row = c.heads_kv * size_of(c.dtype);
      std::memcpy(own.k.data, first.k.data, static_cast<size_t>(alike * row * c.head_dim));
      std::memcpy(own.v.data, first.v.data, static_cast<size_t>(alike * row * c.head_dim_v));
    }
  }
  for (const Alone &s : all) {
    r.query_lengths.push_back(static_cast<int32_t>(s.c.seq_q));
    r.key_lengths.push_back(static_cast<int32_t>(s.c.seq_k));
    r.cu_q.push_back(r.cu_q.back() + r.query_lengths.back());
    r.cu_k.push_back(r.cu_k.back() + r.key_lengths.back());
  }
  r.most_q = *std::max_element(r.query_lengths.begin(), r.query_lengths.end()) + random.below(3);
  r.most_k = *std::max_element(r.key_lengths.begin(), r.key_lengths.end()) + random.below(100);
  if (paged) {
    r.per_sequence = (r.most_k + r.page_size - 1) / r.page_size;
    r.pages = batch * r.per_sequence + 2;
  }

  Rows k(c.dtype,
         paged      ? r.pages
         : packed_k ? 1
                    : batch,
         paged      ? r.page_size
         : packed_k ? r.cu_k.back()
                    : r.most_k,
         c.heads_kv, c.head_dim);
  Rows v(c.dtype,
         paged      ? r.pages
         : packed_k ? 1
                    : batch,
         paged      ? r.page_size
         : packed_k ? r.cu_k.back()
                    : r.most_k,
         c.heads_kv, c.head_dim_v);
  std::vector<int32_t> order(static_cast<size_t>(r.pages));
  std::iota(order.begin(), order.end(), 0);
  for (size_t n = order.size(); n > 1; --n)
    std::swap(order[n - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(n)))]);
  r.table.assign(static_cast<size_t>(batch * r.per_sequence) + 1, -1);
  for (int64_t b = 0; b < batch; ++b) {
    const ga_attention_params &own = all[static_cast<size_t>(b)].instance.params;
    if (!paged) {
      const int64_t at = packed_k ? r.cu_k[static_cast<size_t>(b)] : keys == Keys::kLeftPadded ? r.most_k - own.seq_k : 0;
      r.key_starts.push_back(static_cast<int32_t>(at));
      k.put(packed_k ? 0 : b, at, own.k, 0, own.seq_k);
      v.put(packed_k ? 0 : b, at, own.v, 0, own.seq_k);
      continue;
    }
    for (int64_t n = 0; n * r.page_size < own.seq_k; ++n) {
      const int64_t first = n * r.page_size, count = std::min(r.page_size, own.seq_k - first);
      const bool shared = b % 2 == 1 && first + r.page_size <= std::min(all[0].instance.params.seq_k, own.seq_k);
      int32_t &page = r.table[static_cast<size_t>(b * r.per_sequence + n)];
      page = shared ? r.table[static_cast<size_t>(n)] : order[static_cast<size_t>(b * r.per_sequence + n)];
      k.put(page, 0, own.k, first, count);
      v.put(page, 0, own.v, first, count);
    }
  }
  if (break_page) r.table[0] = order.back();

  const int64_t entries = packed_q ? 1 : batch, rows = packed_q ? r.cu_q.back() : r.most_q;
  Rows q(c.dtype, entries, rows, c.heads_q, c.head_dim), gate(c.dtype, entries, rows, c.heads_q, c.head_dim_v);
  Rows out(c.dtype, entries, rows, c.heads_q, c.head_dim_v), lse(GA_F32, entries, rows, c.heads_q, 1);
  const auto row_of = [&](int64_t b) { return packed_q ? r.cu_q[static_cast<size_t>(b)] : 0; };
  for (int64_t b = 0; b < batch; ++b) {
    const ga_attention_params &own = all[static_cast<size_t>(b)].instance.params;
    q.put(packed_q ? 0 : b, row_of(b), own.q, 0, own.seq_q);
    gate.put(packed_q ? 0 : b, row_of(b), own.gate, 0, own.seq_q);
    for (int64_t i = own.seq_q; i < (packed_q ? 0 : rows); ++i)
      std::memset(gate.at(b, i), 0, static_cast<size_t>(gate.row_bytes()));
  }

  ga_attention_params params = all.front().instance.params;
  params.batch = batch;
  params.seq_q = rows;
  params.seq_k = packed_k ? r.cu_k.back() : r.most_k;
  params.q = q.tensor();
  params.k = k.tensor();
  params.v = v.tensor();
  params.gate = gate.tensor();
  params.out = out.tensor();
  params.lse = lse.tensor();
  (packed_q ? params.cu_seqlens_q : params.query_lengths) = numbers(packed_q ? r.cu_q : r.query_lengths);
  if (packed_k) params.cu_seqlens_k = numbers(r.cu_k);
  if (keys == Keys::kLeftPadded) params.key_starts = numbers(r.key_starts);
  if (keys == Keys::kRightPadded || paged) params.key_lengths = numbers(r.key_lengths);
  if (paged) {
    params.block_table = numbers(r.table, r.per_sequence);
    params.page_size = static_cast<int32_t>(r.page_size);
    params.pages = r.pages;
  }
  ga::Problem p;
  std::string failure = problem_of(params, p);
  Options options;
  options.asynchronous = random.pick({Asynchronous::kEager, Asynchronous::kRandom, Asynchronous::kLate});
  options.blocks = Blocks::kInterleaved;
  options.seed = random.next();
  DecodeWorkspace workspace;
  if (failure.empty()) failure = run_decode(p, random.chance(0.5) ? hopper() : small_ada(), options, workspace);
  if (failure.empty() && !workspace.counters_are_zero()) failure = "a counter was not set back";

  for (int64_t b = 0; b < batch && failure.empty(); ++b) {
    const Alone &s = all[static_cast<size_t>(b)];
    const ga_attention_params &own = s.instance.params;
    const auto take = [&](Rows &from, const ga_tensor &to) {
      if (own.seq_q > 0)
        std::memcpy(to.data, from.at(packed_q ? 0 : b, row_of(b)), static_cast<size_t>(own.seq_q * from.row_bytes()));
    };
    take(out, own.out);
    take(lse, own.lse);
    failure = compare(s.instance, reference_forward(own), nullptr);
    if (!failure.empty())
      failure +=
          "\n  sequence " + std::to_string(b) + ", page size " + std::to_string(r.page_size) + ": " + describe(s.c);
    for (int64_t i = own.seq_q; i < (packed_q ? 0 : rows) && failure.empty(); ++i) {
      for (int64_t h = 0; h < c.heads_q; ++h) {
        float value = 0;
        std::memcpy(&value, lse.at(b, i) + h * 4, 4);
        if (value != -std::numeric_limits<float>::infinity()) failure = "the lse of a padding row";
      }
      for (int64_t d = 0; d < c.heads_q * c.head_dim_v; ++d)
        if (load(c.dtype, out.at(b, i) + d * size_of(c.dtype)) != 0) failure = "a padding row is not blank";
    }
  }
  return failure;
}

TEST(DecodeRagged, SequencesAgreeWithFloat64) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(4242, n));
    const Case common = common_case(random);
    std::vector<Alone> all = sequences_of(common, random);
    announce_case(describe(all.front().c));
    for (const Queries queries : {Queries::kPacked, Queries::kPadded})
      for (const Keys keys : {Keys::kPacked, Keys::kRightPadded, Keys::kLeftPadded, Keys::kPaged})
        ASSERT_EQ(difference(all, queries, keys, random), "") << "case " << n;
  }
}

TEST(DecodePlanted, AWrongPageIsSeen) {
  Random random(7);
  Case common = common_case(random);
  common.window_left = -1;
  Case c = common;
  c.seq_q = 1;
  c.seq_k = 200;
  lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
  std::vector<Alone> all;
  all.emplace_back(c);
  EXPECT_EQ(difference(all, Queries::kPadded, Keys::kPaged, random), "");
  EXPECT_NE(difference(all, Queries::kPadded, Keys::kPaged, random, true), "");
}

}  // namespace
}  // namespace gatest
