// Packed, padded, paged and int8 layouts whose elements lie beyond 2^31 and 2^32 from their first: each sequence has the bits that
// it has in small tensors of its own.

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <vector>

#include "isa_test.h"
#include "lengths.h"
#include "random.h"
#include "sparse.h"

namespace gatest {
namespace {

constexpr int32_t kHeads = 4, kKeyHeads = 2, kDim = 64;
constexpr int64_t kRow = kKeyHeads * kDim;              // elements of a key
constexpr int64_t kFarRow = (int64_t{1} << 27) + 64;    // between two queries: 40 of them pass 2^32
constexpr int64_t kFarKeys = (int64_t{1} << 25) + 777;  // keys before the first that is seen: their elements pass 2^32
constexpr int64_t kFarEntry = (int64_t{1} << 31) + 4096;
constexpr int32_t kPageSize = 16;
constexpr int64_t kPages = int64_t{1} << 22;  // of 2048 elements: 2^33

enum class Layout { kPacked, kLeftPadded, kRightPadded, kPaged };

struct Types {
  ga_dtype query, key;
};

// A tensor and its memory.
struct Mapped {
  std::unique_ptr<Sparse> memory;
  ga_tensor tensor{};

  Mapped() = default;
  Mapped(ga_dtype dtype, const int64_t (&extent)[4], const int64_t (&stride)[4]) {
    int64_t last = 1;
    for (size_t axis = 0; axis < 4; ++axis) last += (extent[axis] - 1) * stride[axis];
    memory = std::make_unique<Sparse>(last * size_of(dtype));
    tensor = view(*memory, dtype, extent, stride);
  }
};

Mapped dense(ga_dtype dtype, int64_t rows, int64_t heads, int64_t dim) {
  return {dtype, {1, rows, heads, dim}, {rows * heads * dim, heads * dim, dim, 1}};
}

void fill(Random &random, const Mapped &to, int64_t rows, int64_t heads, int64_t dim, bool positive) {
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t d = 0; d < dim; ++d) {
        std::byte *at = address(to.tensor, 0, i, h, d);
        if (to.tensor.dtype == GA_I8) {
          const auto whole = static_cast<int8_t>(random.between(-127, 127));
          std::memcpy(at, &whole, 1);
        } else {
          store(to.tensor.dtype, at, positive ? (random.unit() + 0.5) / 64 : random.normal());
        }
      }
}

// A sequence in small tensors of its own, and the result of a call on them.
struct Alone {
  int64_t queries, keys;
  Mapped q, k, v, k_scale, v_scale, gate, out, lse;

  Alone(Random &random, Types types, int64_t query_count, int64_t key_count) : queries(query_count), keys(key_count) {
    q = dense(types.query, queries, kHeads, kDim);
    gate = dense(types.query, queries, kHeads, kDim);
    out = dense(types.query, queries, kHeads, kDim);
    lse = dense(GA_F32, queries, kHeads, 1);
    k = dense(types.key, keys, kKeyHeads, kDim);
    v = dense(types.key, keys, kKeyHeads, kDim);
    for (const Mapped *t : {&q, &gate}) fill(random, *t, queries, kHeads, kDim, false);
    for (const Mapped *t : {&k, &v}) fill(random, *t, keys, kKeyHeads, kDim, false);
    if (types.key != GA_I8) return;
    k_scale = dense(GA_F32, keys, kKeyHeads, 1);
    v_scale = dense(GA_F32, keys, kKeyHeads, 1);
    for (const Mapped *t : {&k_scale, &v_scale}) fill(random, *t, keys, kKeyHeads, 1, true);
  }
};

ga_attention_params common_params() {
  ga_attention_params params{};
  params.struct_size = sizeof params;
  params.batch = 1;
  params.heads_q = kHeads;
  params.heads_kv = kKeyHeads;
  params.head_dim = params.head_dim_v = kDim;
  params.window_left = params.window_right = -1;
  params.scale = 0.125F;
  params.flags = GA_CAUSAL;
  return params;
}

void attend(ga_runtime runtime, const ga_attention_params &params) {
  ga_error error{};
  ASSERT_EQ(ga_attention_forward(runtime, &params, &error), GA_OK) << error.message;
}

void attend_alone(ga_runtime runtime, const Alone &a) {
  ga_attention_params params = common_params();
  params.seq_q = a.queries;
  params.seq_k = a.keys;
  params.q = a.q.tensor;
  params.k = a.k.tensor;
  params.v = a.v.tensor;
  params.k_scale = a.k_scale.tensor;
  params.v_scale = a.v_scale.tensor;
  params.gate = a.gate.tensor;
  params.out = a.out.tensor;
  params.lse = a.lse.tensor;
  attend(runtime, params);
}

class LargeLayouts : public IsaTest {
 protected:
  LargeLayouts() : runtime_(2, GetParam()) {}

  void expect_same_bits(Layout layout, Types types);

  Runtime runtime_;
};

// Where key j of sequence b lies: the entry and the row.
struct Place {
  int64_t entry, row;
};

void LargeLayouts::expect_same_bits(Layout layout, Types types) {
  Random random(static_cast<uint64_t>(types.key) * 7 + 3);
  std::vector<Alone> sequences;
  sequences.reserve(2);
  sequences.emplace_back(random, types, 1, 300);  // decodes
  sequences.emplace_back(random, types, 40, 70);  // is prefilled
  for (const Alone &a : sequences) ASSERT_NO_FATAL_FAILURE(attend_alone(runtime_.handle(), a));

  ga_attention_params params = common_params();
  params.batch = 2;
  const bool paged = layout == Layout::kPaged, packed = layout == Layout::kPacked;
  const bool scaled = types.key == GA_I8;

  // Keys: packed behind a sequence of very many keys and no query; padded far to the left; entries far apart; far pages.
  std::vector<int32_t> cu_q{0, 1, 41}, cu_k, lengths{300, 70}, starts, query_lengths{1, 40}, table;
  int64_t entries = 2, rows = 300;
  int64_t entry_stride = kFarEntry;
  if (packed) {
    params.batch = 3;
    cu_q.insert(cu_q.begin(), 0);
    const auto first = static_cast<int32_t>(kFarKeys);
    cu_k = {0, first, first + 300, first + 370};
    entries = 1;
    rows = kFarKeys + 370;
    entry_stride = rows * kRow;
  } else if (layout == Layout::kLeftPadded) {
    rows = kFarKeys;
    entry_stride = rows * kRow;
    starts = {static_cast<int32_t>(rows - 300), static_cast<int32_t>(rows - 70)};
    lengths = {static_cast<int32_t>(rows), static_cast<int32_t>(rows)};
  } else if (paged) {
    entries = kPages;
    rows = kPageSize;
    entry_stride = rows * kRow;
    table.assign(2 * 19, -1);
    for (int32_t b = 0, used = 0; b < 2; ++b)
      for (int64_t page = 0; page * kPageSize < sequences[static_cast<size_t>(b)].keys; ++page, ++used)
        table[static_cast<size_t>(b * 19 + page)] =
            static_cast<int32_t>(used % 2 == 0 ? kPages - 1 - used : kPages / 4 + used);
  }
  const auto place = [&](int64_t b, int64_t j) -> Place {
    if (packed) return {0, cu_k[static_cast<size_t>(b) + 1] + j};
    if (paged) return {table[static_cast<size_t>(b * 19 + j / kPageSize)], j % kPageSize};
    return {b, starts.empty() ? j : starts[static_cast<size_t>(b)] + j};
  };
  const int64_t extent[4] = {entries, rows, kKeyHeads, kDim}, stride[4] = {entry_stride, kRow, kDim, 1};
  // Scales are as far apart as the keys are: in a record of their own per token.
  const int64_t scale_extent[4] = {entries, rows, kKeyHeads, 1}, scale_stride[4] = {entry_stride, kRow, 1, 1};
  const Mapped k(types.key, extent, stride), v(types.key, extent, stride);
  const Mapped k_scale = scaled ? Mapped(GA_F32, scale_extent, scale_stride) : Mapped();
  const Mapped v_scale = scaled ? Mapped(GA_F32, scale_extent, scale_stride) : Mapped();
  for (int64_t b = 0; b < 2; ++b) {
    const Alone &a = sequences[static_cast<size_t>(b)];
    for (int64_t j = 0; j < a.keys; ++j) {
      const Place to = place(b, j);
      const auto copy = [&](const Mapped &far, const Mapped &near, int64_t elements) {
        std::memcpy(address(far.tensor, to.entry, to.row, 0, 0), address(near.tensor, 0, j, 0, 0),
                    static_cast<size_t>(elements * size_of(far.tensor.dtype)));
      };
      copy(k, a.k, kRow);
      copy(v, a.v, kRow);
      if (!scaled) continue;
      copy(k_scale, a.k_scale, kKeyHeads);
      copy(v_scale, a.v_scale, kKeyHeads);
    }
  }

  // Queries, packed unless keys are padded: then each sequence has an entry. Rows are far apart either way.
  const bool packed_q = packed || paged;
  const int64_t query_entries = packed_q ? 1 : 2, query_rows = packed_q ? 41 : 40;
  const int64_t q_extent[4] = {query_entries, query_rows, kHeads, kDim};
  const int64_t q_stride[4] = {kHeads * kDim, kFarRow, kDim, 1};  // entries within what lies between two rows
  const int64_t lse_extent[4] = {query_entries, query_rows, kHeads, 1}, lse_stride[4] = {kHeads, kFarRow, 1, 1};
  const Mapped q(types.query, q_extent, q_stride), gate(types.query, q_extent, q_stride),
      out(types.query, q_extent, q_stride), lse(GA_F32, lse_extent, lse_stride);
  const auto query_row = [&](int64_t b, int64_t i) -> Place { return packed_q ? Place{0, b + i} : Place{b, i}; };
  for (int64_t b = 0; b < 2; ++b) {
    const Alone &a = sequences[static_cast<size_t>(b)];
    for (int64_t i = 0; i < a.queries; ++i) {
      const Place to = query_row(b, i);
      const auto bytes = static_cast<size_t>(kHeads * kDim * size_of(types.query));
      std::memcpy(address(q.tensor, to.entry, to.row, 0, 0), address(a.q.tensor, 0, i, 0, 0), bytes);
      std::memcpy(address(gate.tensor, to.entry, to.row, 0, 0), address(a.gate.tensor, 0, i, 0, 0), bytes);
    }
  }

  params.seq_q = query_rows;
  params.seq_k = paged ? 19 * kPageSize : rows;
  params.q = q.tensor;
  params.gate = gate.tensor;
  params.out = out.tensor;
  params.lse = lse.tensor;
  params.k = k.tensor;
  params.v = v.tensor;
  params.k_scale = k_scale.tensor;
  params.v_scale = v_scale.tensor;
  (packed_q ? params.cu_seqlens_q : params.query_lengths) = packed_q ? numbers(cu_q) : numbers(query_lengths);
  if (packed)
    params.cu_seqlens_k = numbers(cu_k);
  else
    params.key_lengths = numbers(lengths);
  if (!starts.empty()) params.key_starts = numbers(starts);
  if (paged) {
    params.block_table = numbers(table, 19);
    params.page_size = kPageSize;
    params.pages = kPages;
  }
  ASSERT_NO_FATAL_FAILURE(attend(runtime_.handle(), params));

  for (int64_t b = 0; b < 2; ++b) {
    const Alone &a = sequences[static_cast<size_t>(b)];
    for (int64_t i = 0; i < a.queries; ++i) {
      const Place at = query_row(b, i);
      ASSERT_EQ(std::memcmp(address(out.tensor, at.entry, at.row, 0, 0), address(a.out.tensor, 0, i, 0, 0),
                            static_cast<size_t>(kHeads * kDim * size_of(types.query))),
                0)
          << "out of row " << i << " of sequence " << b;
      ASSERT_EQ(std::memcmp(address(lse.tensor, at.entry, at.row, 0, 0), address(a.lse.tensor, 0, i, 0, 0),
                            static_cast<size_t>(kHeads) * 4),
                0)
          << "lse of row " << i << " of sequence " << b;
    }
  }
}

TEST_P(LargeLayouts, BeyondThirtyTwoBits) {
  for (const Types types : {Types{GA_BF16, GA_BF16}, Types{GA_F32, GA_F16}, Types{GA_F32, GA_I8}, Types{GA_BF16, GA_I8}})
    for (const Layout layout : {Layout::kPacked, Layout::kLeftPadded, Layout::kRightPadded, Layout::kPaged}) {
      SCOPED_TRACE("layout " + std::to_string(static_cast<int>(layout)) + " of " + name_of(types.key) + " under " +
                   name_of(types.query));
      ASSERT_NO_FATAL_FAILURE(expect_same_bits(layout, types));
    }
}

GA_FOR_EACH_ISA(LargeLayouts);

}  // namespace
}  // namespace gatest
