// Decode over caches of another type than q: 16 bits under f32 queries, whole numbers with a scale per token and head; and what
// plans come to on the devices that the kernels' comments speak of.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "block.h"
#include "emulated_call.h"
#include "emulated_decode.h"
#include "environment.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

using gaemu::Asynchronous;
using gaemu::Options;

// Dense keys, values or scales, [batch, rows, heads, dim], with known bytes around them.
struct Cache {
  ga_dtype dtype;
  int64_t batch, rows, heads, dim;
  Block block;

  Cache(ga_dtype type, int64_t b, int64_t n, int64_t h, int64_t d)
      : dtype(type), batch(b), rows(n), heads(h), dim(d), block(b * n * h * d * size_of(type), Placement::kRedZones) {}

  int64_t elements() const { return batch * rows * heads * dim; }
  std::byte *at(int64_t element) const { return block.data() + element * size_of(dtype); }
  ga_tensor tensor() const {
    ga_tensor t{};
    t.data = block.data();
    t.bytes = block.bytes();
    t.stride[0] = rows * heads * dim;
    t.stride[1] = heads * dim;
    t.stride[2] = dim;
    t.stride[3] = 1;
    t.dtype = dtype;
    return t;
  }
};

Case random_shape(Random &random, ga_dtype dtype) {
  Case c;
  c.seed = random.next();
  c.dtype = dtype;
  c.batch = random.between(1, 2);
  c.heads_kv = random.pick<int32_t>({1, 2, 3});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 2, 3, 8});
  c.head_dim = random.pick<int32_t>({8, 40, 64, 96, 128, 256});
  c.head_dim_v = random.chance(0.7) ? c.head_dim : 72;
  c.seq_q = random.between(1, 4);
  c.seq_k = random.between(1, 300);
  c.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.flags = random.chance(0.7) ? GA_CAUSAL : 0;
  if (random.chance(0.3)) c.window_left = random.between(0, 200);
  lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
  return c;
}

std::string decode(const Instance &instance, uint64_t seed) {
  ga::Problem p;
  std::string failure = problem_of(instance.params, p);
  Options options;
  options.asynchronous = seed % 2 == 0 ? Asynchronous::kLate : Asynchronous::kRandom;
  options.blocks = gaemu::Blocks::kInterleaved;
  options.seed = seed;
  DecodeWorkspace workspace;
  return failure.empty() ? run_decode(p, seed % 3 == 0 ? small_ada() : hopper(), options, workspace) : failure;
}

TEST(DecodeCaches, SixteenBitsUnderF32Queries) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(501, n));
    const Case c = random_shape(random, GA_F32);
    announce_case(describe(c));
    Instance instance(c);
    const ga_dtype type = random.pick<ga_dtype>({GA_BF16, GA_F16});
    const Cache k(type, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(type, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    for (const Cache *cache : {&k, &v})
      for (int64_t i = 0; i < cache->elements(); ++i) store(type, cache->at(i), random.normal());
    instance.params.k = k.tensor();
    instance.params.v = v.tensor();
    ASSERT_EQ(decode(instance, static_cast<uint64_t>(n)), "");
    ASSERT_EQ(compare(instance, reference_forward(instance.params), nullptr), "") << describe(c);
  }
}

// Fills whole numbers and their scales, and what they stand for in f32.
void quantize(Random &random, const Cache &whole_numbers, const Cache &scales, const Cache &values) {
  for (int64_t row = 0; row < scales.elements(); ++row) {
    const double scale = std::ldexp(random.unit() + 0.5, static_cast<int>(random.between(-8, -5)));
    store(GA_F32, scales.at(row), scale);
    for (int64_t d = 0; d < whole_numbers.dim; ++d) {
      const auto whole = static_cast<int8_t>(random.between(-128, 127));
      std::memcpy(whole_numbers.at(row * whole_numbers.dim + d), &whole, 1);
      store(GA_F32, values.at(row * whole_numbers.dim + d), whole * load(GA_F32, scales.at(row)));
    }
  }
}

// The same rows on pages of page_size in reverse order.
Cache on_pages(const Cache &dense, int64_t page_size) {
  const int64_t per_sequence = (dense.rows + page_size - 1) / page_size, pages = dense.batch * per_sequence;
  Cache paged(dense.dtype, pages, page_size, dense.heads, dense.dim);
  const int64_t row = dense.heads * dense.dim;
  for (int64_t b = 0; b < dense.batch; ++b)
    for (int64_t j = 0; j < dense.rows; ++j) {
      const int64_t page = pages - 1 - (b * per_sequence + j / page_size);
      std::memcpy(paged.at((page * page_size + j % page_size) * row), dense.at((b * dense.rows + j) * row),
                  static_cast<size_t>(row * size_of(dense.dtype)));
    }
  return paged;
}

TEST(DecodeCaches, WholeNumbersWithScalesDenseAndPaged) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(502, n));
    const Case c = random_shape(random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}));
    announce_case(describe(c));
    Instance instance(c);
    const Cache k(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    const Cache k_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1), v_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1);
    const Cache k_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim);
    const Cache v_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    quantize(random, k, k_scale, k_value);
    quantize(random, v, v_scale, v_value);
    ga_attention_params &params = instance.params;
    params.k = k_value.tensor();
    params.v = v_value.tensor();
    const Reference reference = reference_forward(params);
    params.k = k.tensor();
    params.v = v.tensor();
    params.k_scale = k_scale.tensor();
    params.v_scale = v_scale.tensor();
    ASSERT_EQ(decode(instance, static_cast<uint64_t>(n)), "") << describe(c);
    ASSERT_EQ(compare(instance, reference, nullptr), "") << describe(c);

    const int64_t page_size = random.pick<int64_t>({1, 16, 48});
    const Cache paged[] = {on_pages(k, page_size), on_pages(v, page_size), on_pages(k_scale, page_size),
                           on_pages(v_scale, page_size)};
    std::vector<int32_t> table;
    for (auto page = static_cast<int32_t>(paged[0].batch); page > 0; --page) table.push_back(page - 1);
    params.k = paged[0].tensor();
    params.v = paged[1].tensor();
    params.k_scale = paged[2].tensor();
    params.v_scale = paged[3].tensor();
    params.page_size = static_cast<int32_t>(page_size);
    params.pages = paged[0].batch;
    params.block_table.data = table.data();
    params.block_table.bytes = static_cast<int64_t>(table.size()) * 4;
    params.block_table.stride[0] = paged[0].batch / c.batch;
    params.block_table.stride[1] = 1;
    params.block_table.dtype = GA_I32;
    const std::vector<std::byte> dense = instance.out_bits();
    ASSERT_EQ(decode(instance, static_cast<uint64_t>(n)), "") << describe(c);
    ASSERT_EQ(instance.out_bits(), dense) << "page size " << page_size << ": " << describe(c);
  }
}

struct Expected {
  ga_dtype dtype;
  int32_t head_dim;
  int stages, kilobytes, resident;
};

TEST(DecodePlan, IsWhatTheKernelsSay) {
  using namespace ga::cuda::decode;
  const auto plan = [](ga_dtype dtype, int32_t head_dim, int64_t batch, int64_t keys,
                       const ga::cuda::DeviceFacts &device) {
    ga::Problem p{};
    p.batch = batch;
    p.seq_q = 1;
    p.seq_k = keys;
    p.heads_q = 32;
    p.heads_kv = 8;
    p.group = 4;
    p.head_dim = p.head_dim_v = head_dim;
    p.window_left = p.window_right = -1;
    p.q.dtype = p.k.dtype = p.v.dtype = p.out.dtype = dtype;
    p.q.element_bytes = p.k.element_bytes = p.v.element_bytes = static_cast<int32_t>(size_of(dtype));
    return make_plan(p, device);
  };
  for (const Expected &e : {Expected{GA_BF16, 64, 4, 71, 3}, Expected{GA_BF16, 128, 3, 104, 2},
                            Expected{GA_F16, 256, 3, 107, 2}, Expected{GA_F32, 128, 3, 104, 2}}) {
    const Plan p = plan(e.dtype, e.head_dim, 16, 8192, hopper());
    EXPECT_EQ(p.arguments.stages, e.stages) << e.head_dim;
    EXPECT_EQ((p.shared_bytes + 1023) / 1024, e.kilobytes) << e.head_dim;
    EXPECT_EQ(blocks_per_multiprocessor(p.geometry, p.shared_bytes, hopper()), e.resident) << e.head_dim;
    EXPECT_LE(plan(e.dtype, e.head_dim, 16, 8192, small_ada()).shared_bytes, small_ada().shared_memory_bytes);
  }
  EXPECT_EQ(plan(GA_BF16, 128, 16, 8192, hopper()).blocks, 256);  // one wave of 264
  EXPECT_EQ(plan(GA_BF16, 128, 1, 1024, hopper()).blocks, 128);   // a tile each
  EXPECT_EQ(plan(GA_BF16, 128, 16, 8192, hopper()).workspace_bytes, 512 + 256 * 4 * (128 + 2) * 4);
}

}  // namespace
}  // namespace gatest
