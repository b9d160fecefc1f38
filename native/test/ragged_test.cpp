// Padded, packed and paged sequences: each gives the bits of the same sequence alone, dense and full. So do their gradients.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "random_case.h"
#include "reference.h"

namespace gatest {
namespace {

constexpr uint32_t kUnwritten = 0xffffffff;

// One sequence: its options and operands, dense, in a call of its own; the expected bits.
struct Alone {
  Case c;
  Instance instance;
  explicit Alone(const Case &given) : c(given), instance(given) {}
};

bool has_backward(const Case &c) { return (c.flags & GA_ROUND_BEFORE_GATE) == 0; }

// Options that all sequences share; the rest is the sequence's own.
Case sequence_case(const Case &common, Random &random, uint64_t seed) {
  Case c = common;
  c.seed = seed;
  c.batch = 1;
  c.seq_q = random.chance(0.5) ? random.between(0, 5) : random.between(1, 150);
  c.seq_k = random.chance(0.1) ? 0 : random.between(1, 400);
  c.block_bytes.clear();
  c.lengths.clear();
  c.q = c.k = c.v = c.gate = c.norm_weight = c.sink = c.key_lengths = c.out = c.lse = View{};
  lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
  c.dout = c.dq = c.dk = c.dv = c.dgate = View{};
  if (!has_backward(c)) return c;
  c.dout = own_block(c, c.dtype, c.out.extent);
  c.dq = own_block(c, c.dtype, c.q.extent);
  c.dk = own_block(c, c.dtype, c.k.extent);
  c.dv = own_block(c, c.dtype, c.v.extent);
  c.dgate = own_block(c, c.dtype, c.gate.extent);
  return c;
}

Case common_case(Random &random) {
  Case c = random_case(random.next(), {.budget = 100'000});
  c.head_dim = random.pick<int32_t>({64, 128, 40, 256});
  c.head_dim_v = random.chance(0.7) ? c.head_dim : 72;
  c.scale = 0.125F;
  c.trend = 0;
  c.poison = false;
  c.layout = "ragged";
  if (c.pre_gate == GA_PRE_RMS_NORM) c.pre_gate = GA_PRE_NONE;
  return c;
}

// Memory of a ragged call: NaN or -1 wherever no sequence lies.
class Buffer {
 public:
  Buffer(ga_dtype dtype, int64_t entries, int64_t rows, int64_t heads, int64_t dim)
      : dtype_(dtype), size_(size_of(dtype)), entries_(entries), rows_(rows), heads_(heads), dim_(dim) {
    const int64_t words = (entries * rows * heads * dim * size_ + 3) / 4;
    data_.assign(static_cast<size_t>(words) + 1, kUnwritten);
  }

  std::byte *row(int64_t entry, int64_t row) {
    return reinterpret_cast<std::byte *>(data_.data()) + (entry * rows_ + row) * row_bytes();
  }
  int64_t row_bytes() const { return heads_ * dim_ * size_; }

  ga_tensor tensor() {
    ga_tensor t{};
    t.data = data_.data();
    t.bytes = entries_ * rows_ * row_bytes();
    t.stride[0] = rows_ * heads_ * dim_;
    t.stride[1] = heads_ * dim_;
    t.stride[2] = dim_;
    t.stride[3] = 1;
    t.dtype = dtype_;
    return t;
  }

 private:
  ga_dtype dtype_;
  int64_t size_, entries_, rows_, heads_, dim_;
  std::vector<uint32_t> data_;
};

// An array of int32 as the call takes it.
class Numbers {
 public:
  explicit Numbers(std::vector<int32_t> values, int64_t columns = 1) : values_(std::move(values)), columns_(columns) {}
  ga_tensor tensor() {
    ga_tensor t{};
    t.data = values_.data();
    t.bytes = static_cast<int64_t>(values_.size()) * 4;
    t.stride[0] = columns_;
    t.stride[1] = t.stride[2] = t.stride[3] = 1;
    t.dtype = GA_I32;
    return t;
  }
  std::vector<int32_t> &values() { return values_; }

 private:
  std::vector<int32_t> values_;
  int64_t columns_;
};

enum class Queries { kPacked, kPadded };
enum class Keys { kPacked, kRightPadded, kLeftPadded, kPaged };

class Ragged : public IsaTest {
 protected:
  Ragged() : runtime_(2, GetParam()) {}

  void attend_alone(std::vector<Alone> &sequences) const {
    for (Alone &s : sequences) {
      ga_error error{};
      ASSERT_EQ(ga_attention_forward(runtime_.handle(), &s.instance.params, &error), GA_OK) << error.message;
      if (!has_backward(s.c)) continue;
      ASSERT_EQ(ga_attention_backward(runtime_.handle(), &s.instance.params, &s.instance.backward, &error), GA_OK)
          << error.message;
    }
  }

  void expect_same_bits(std::vector<Alone> &sequences, Queries queries, Keys keys, Random &random) const;

  Runtime runtime_;
};

void copy_rows(Buffer &to, int64_t entry, int64_t row, const ga_tensor &from, int64_t rows) {
  if (rows > 0) std::memcpy(to.row(entry, row), from.data, static_cast<size_t>(rows * to.row_bytes()));
}

void Ragged::expect_same_bits(std::vector<Alone> &sequences, Queries queries, Keys keys, Random &random) const {
  const Case &c = sequences.front().c;
  const auto batch = static_cast<int64_t>(sequences.size());
  std::vector<int32_t> query_lengths, key_lengths, cu_q{0}, cu_k{0}, key_starts;
  for (const Alone &s : sequences) {
    query_lengths.push_back(static_cast<int32_t>(s.c.seq_q));
    key_lengths.push_back(static_cast<int32_t>(s.c.seq_k));
    cu_q.push_back(cu_q.back() + query_lengths.back());
    cu_k.push_back(cu_k.back() + key_lengths.back());
  }
  const int64_t most_q = *std::max_element(query_lengths.begin(), query_lengths.end()) + random.below(3);
  const int64_t most_k = *std::max_element(key_lengths.begin(), key_lengths.end()) + random.below(3);
  const bool packed_q = queries == Queries::kPacked, packed_k = keys == Keys::kPacked, paged = keys == Keys::kPaged;

  // Keys
  const int32_t page_size = paged ? random.pick<int32_t>({1, 3, 16, 64, 256}) : 0;
  const int64_t per_sequence = paged ? (most_k + page_size - 1) / page_size : 0;
  const int64_t pages = paged ? batch * per_sequence + 2 : 0;
  std::vector<int32_t> order(static_cast<size_t>(pages));
  std::iota(order.begin(), order.end(), 0);
  for (size_t n = order.size(); n > 1; --n)
    std::swap(order[n - 1], order[static_cast<size_t>(random.below(static_cast<int64_t>(n)))]);
  std::vector<int32_t> table(static_cast<size_t>(batch * per_sequence) + 1, -1);
  const int64_t key_entries = paged ? pages : packed_k ? 1 : batch;
  const int64_t key_rows = paged ? page_size : packed_k ? cu_k.back() : most_k;
  Buffer k(c.dtype, key_entries, key_rows, c.heads_kv, c.head_dim),
      v(c.dtype, key_entries, key_rows, c.heads_kv, c.head_dim_v);
  for (int64_t b = 0; b < batch; ++b) {
    const ga_attention_params &own = sequences[static_cast<size_t>(b)].instance.params;
    const int64_t n = own.seq_k;
    if (!paged) {
      const int64_t first = packed_k ? cu_k[static_cast<size_t>(b)] : keys == Keys::kLeftPadded ? most_k - n : 0;
      key_starts.push_back(static_cast<int32_t>(first));
      copy_rows(k, packed_k ? 0 : b, first, own.k, n);
      copy_rows(v, packed_k ? 0 : b, first, own.v, n);
      continue;
    }
    for (int64_t j = 0; j < n; ++j) {
      int32_t &page = table[static_cast<size_t>(b * per_sequence + j / page_size)];
      if (page < 0) page = order[static_cast<size_t>(b * per_sequence + j / page_size)];
      const auto *k_row = static_cast<const std::byte *>(own.k.data) + j * k.row_bytes();
      const auto *v_row = static_cast<const std::byte *>(own.v.data) + j * v.row_bytes();
      std::memcpy(k.row(page, j % page_size), k_row, static_cast<size_t>(k.row_bytes()));
      std::memcpy(v.row(page, j % page_size), v_row, static_cast<size_t>(v.row_bytes()));
    }
  }

  // Queries
  const int64_t entries = packed_q ? 1 : batch, rows = packed_q ? cu_q.back() : most_q;
  Buffer q(c.dtype, entries, rows, c.heads_q, c.head_dim), gate(c.dtype, entries, rows, c.heads_q, c.head_dim_v);
  Buffer out(c.dtype, entries, rows, c.heads_q, c.head_dim_v), lse(GA_F32, entries, rows, c.heads_q, 1);
  for (int64_t b = 0; b < batch; ++b) {
    const ga_attention_params &own = sequences[static_cast<size_t>(b)].instance.params;
    copy_rows(q, packed_q ? 0 : b, packed_q ? cu_q[static_cast<size_t>(b)] : 0, own.q, own.seq_q);
    copy_rows(gate, packed_q ? 0 : b, packed_q ? cu_q[static_cast<size_t>(b)] : 0, own.gate, own.seq_q);
    for (int64_t i = own.seq_q; i < (packed_q ? 0 : rows); ++i)
      std::memset(gate.row(b, i), 0, static_cast<size_t>(gate.row_bytes()));
  }

  Numbers q_lengths(query_lengths), k_lengths(key_lengths), starts(key_starts), cumulative_q(cu_q), cumulative_k(cu_k),
      block_table(table, per_sequence);
  ga_attention_params params = sequences.front().instance.params;
  params.batch = batch;
  params.seq_q = rows;
  params.seq_k = paged ? most_k : key_rows;
  params.q = q.tensor();
  params.k = k.tensor();
  params.v = v.tensor();
  params.gate = gate.tensor();
  params.out = out.tensor();
  params.lse = lse.tensor();
  (packed_q ? params.cu_seqlens_q : params.query_lengths) = packed_q ? cumulative_q.tensor() : q_lengths.tensor();
  if (packed_k) params.cu_seqlens_k = cumulative_k.tensor();
  if (keys == Keys::kLeftPadded) params.key_starts = starts.tensor();
  if (keys == Keys::kRightPadded || paged) params.key_lengths = k_lengths.tensor();
  if (paged) {
    params.block_table = block_table.tensor();
    params.page_size = page_size;
    params.pages = pages;
  }
  ga_error error{};
  ASSERT_EQ(ga_attention_forward(runtime_.handle(), &params, &error), GA_OK) << error.message;

  // Gradients, of NaN where nothing was written
  const bool backward = has_backward(c) && !paged;
  Buffer dout(c.dtype, entries, rows, c.heads_q, c.head_dim_v), dq(c.dtype, entries, rows, c.heads_q, c.head_dim);
  Buffer dgate(c.dtype, entries, rows, c.heads_q, c.head_dim_v);
  Buffer dk(c.dtype, key_entries, key_rows, c.heads_kv, c.head_dim),
      dv(c.dtype, key_entries, key_rows, c.heads_kv, c.head_dim_v);
  if (backward) {
    for (int64_t b = 0; b < batch; ++b)
      copy_rows(dout, packed_q ? 0 : b, packed_q ? cu_q[static_cast<size_t>(b)] : 0,
                sequences[static_cast<size_t>(b)].instance.backward.dout, sequences[static_cast<size_t>(b)].c.seq_q);
    ga_attention_backward_params g{};
    g.struct_size = sizeof g;
    g.dout = dout.tensor();
    g.dq = dq.tensor();
    g.dk = dk.tensor();
    g.dv = dv.tensor();
    g.dgate = dgate.tensor();
    ASSERT_EQ(ga_attention_backward(runtime_.handle(), &params, &g, &error), GA_OK) << error.message;
  }

  for (int64_t b = 0; b < batch; ++b) {
    const Alone &s = sequences[static_cast<size_t>(b)];
    const int64_t entry = packed_q ? 0 : b, first = packed_q ? cu_q[static_cast<size_t>(b)] : 0;
    const auto compare = [&](Buffer &buffer, const ga_tensor &expected, const char *name) {
      for (int64_t i = 0; i < s.c.seq_q; ++i) {
        const auto *at = static_cast<const std::byte *>(expected.data) + i * buffer.row_bytes();
        ASSERT_EQ(std::memcmp(buffer.row(entry, first + i), at, static_cast<size_t>(buffer.row_bytes())), 0)
            << name << " of row " << i << " of sequence " << b << " (" << s.c.seq_q << " queries, " << s.c.seq_k
            << " keys, page size " << page_size << "): " << describe(s.c);
      }
    };
    compare(out, s.instance.params.out, "out");
    compare(lse, s.instance.params.lse, "lse");
    if (backward) {
      compare(dq, s.instance.backward.dq, "dq");
      compare(dgate, s.instance.backward.dgate, "dgate");
      const int64_t key_entry = packed_k ? 0 : b,
                    first_key = packed_k ? cu_k[static_cast<size_t>(b)] : key_starts[static_cast<size_t>(b)];
      const auto compare_keys = [&](Buffer &buffer, const ga_tensor &expected, const char *name) {
        for (int64_t j = 0; j < s.c.seq_k; ++j) {
          const auto *at = static_cast<const std::byte *>(expected.data) + j * buffer.row_bytes();
          ASSERT_EQ(std::memcmp(buffer.row(key_entry, first_key + j), at, static_cast<size_t>(buffer.row_bytes())), 0)
              << name << " of key " << j << " of sequence " << b << ": " << describe(s.c);
        }
      };
      compare_keys(dk, s.instance.backward.dk, "dk");
      compare_keys(dv, s.instance.backward.dv, "dv");
      // Rows outside of the sequence: 0, in all their bits.
      const auto expect_zero = [&](Buffer &buffer, int64_t row) {
        const std::vector<std::byte> zeros(static_cast<size_t>(buffer.row_bytes()));
        ASSERT_EQ(std::memcmp(buffer.row(b, row), zeros.data(), zeros.size()), 0)
            << "row " << row << " of sequence " << b << ": " << describe(s.c);
      };
      for (int64_t i = s.c.seq_q; i < (packed_q ? 0 : rows); ++i) {
        expect_zero(dq, i);
        expect_zero(dgate, i);
      }
      for (int64_t j = 0; j < (packed_k ? 0 : key_rows); ++j) {
        if (j >= first_key && j < first_key + s.c.seq_k) continue;
        expect_zero(dk, j);
        expect_zero(dv, j);
      }
    }
    for (int64_t i = s.c.seq_q; i < (packed_q ? 0 : rows); ++i) {
      for (int64_t h = 0; h < c.heads_q; ++h) {
        float value = 0;
        std::memcpy(&value, lse.row(b, i) + h * 4, 4);
        ASSERT_EQ(value, -std::numeric_limits<float>::infinity()) << "lse of padding row " << i << " of sequence " << b;
      }
      const double expected = c.combination == GA_ADD ? activate(c.activation, 0) : 0;
      for (int64_t d = 0; d < c.heads_q * c.head_dim_v; ++d) {
        ASSERT_NEAR(load(c.dtype, out.row(b, i) + d * size_of(c.dtype)), expected, 4e-3)
            << "out of padding row " << i << " of sequence " << b << ": " << describe(c);
      }
    }
  }
}

TEST_P(Ragged, EachSequenceHasTheBitsItHasAlone) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(99, n));
    const Case common = common_case(random);
    std::vector<Alone> sequences;
    const int64_t batch = random.between(1, 6);
    sequences.reserve(static_cast<size_t>(batch));
    for (int64_t b = 0; b < batch; ++b) sequences.emplace_back(sequence_case(common, random, random.next()));
    announce_case(describe(sequences.front().c));
    ASSERT_NO_FATAL_FAILURE(attend_alone(sequences));
    for (const Queries queries : {Queries::kPacked, Queries::kPadded})
      for (const Keys keys : {Keys::kPacked, Keys::kRightPadded, Keys::kLeftPadded, Keys::kPaged})
        ASSERT_NO_FATAL_FAILURE(expect_same_bits(sequences, queries, keys, random));
  }
}

}  // namespace

GA_FOR_EACH_ISA(Ragged);

}  // namespace gatest
