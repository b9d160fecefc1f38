// Decode over caches of another type than q: 16 bits under f32 queries, whole numbers with a scale per token and head; and what
// plans come to on the devices that the kernels' comments speak of.

#include <gtest/gtest.h>

#include <vector>

#include "emulated_call.h"
#include "emulated_decode.h"
#include "environment.h"
#include "key_cache.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

using gaemu::Asynchronous;
using gaemu::Options;

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
    const Case c = random_key_cache_case(random, GA_F32, 4);
    announce_case(describe(c));
    Instance instance(c);
    const ga_dtype type = random.pick<ga_dtype>({GA_BF16, GA_F16});
    const KeyCache k(type, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(type, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    for (const KeyCache *cache : {&k, &v})
      for (int64_t i = 0; i < cache->elements(); ++i) store(type, cache->at(i), random.normal());
    instance.params.k = k.tensor();
    instance.params.v = v.tensor();
    ASSERT_EQ(decode(instance, static_cast<uint64_t>(n)), "");
    ASSERT_EQ(compare(instance, reference_forward(instance.params), nullptr), "") << describe(c);
  }
}

TEST(DecodeCaches, WholeNumbersWithScalesDenseAndPaged) {
  const int64_t cases = setting("GA_EMULATED_CASES", 300) / 10;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(502, n));
    const Case c = random_key_cache_case(random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}), 4);
    announce_case(describe(c));
    Instance instance(c);
    const KeyCache k(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim),
        v(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    const KeyCache k_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1), v_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1);
    const KeyCache k_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim);
    const KeyCache v_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
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
    const KeyCache paged[] = {on_pages(k, page_size), on_pages(v, page_size), on_pages(k_scale, page_size),
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
