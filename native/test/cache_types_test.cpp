// Keys and values of another type than q: 16 bits under f32 queries, and whole numbers with a scale per token and head.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

// Dense keys or values, [batch, keys, heads, dim], of any type.
struct Cache {
  ga_dtype dtype;
  int64_t batch, keys, heads, dim;
  std::vector<std::byte> data;

  Cache(ga_dtype type, int64_t b, int64_t n, int64_t h, int64_t d)
      : dtype(type), batch(b), keys(n), heads(h), dim(d), data(static_cast<size_t>(b * n * h * d * size_of(type)) + 1) {}

  std::byte *at(int64_t element) { return data.data() + element * size_of(dtype); }
  int64_t elements() const { return batch * keys * heads * dim; }
  ga_tensor tensor() {
    ga_tensor t{};
    t.data = data.data();
    t.bytes = elements() * size_of(dtype);
    t.stride[0] = keys * heads * dim;
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
  c.heads_kv = random.pick<int32_t>({1, 2, 8});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 2, 3, 8});
  c.head_dim = random.pick<int32_t>({8, 40, 64, 96, 128, 256});
  c.head_dim_v = random.chance(0.7) ? c.head_dim : 72;
  c.seq_q = random.chance(0.6) ? random.between(1, 4) : random.between(5, 90);
  c.seq_k = random.between(1, 300);
  c.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.flags = random.chance(0.7) ? GA_CAUSAL : 0;
  if (random.chance(0.3)) c.window_left = random.between(0, 200);
  lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
  return c;
}

class CacheTypes : public IsaTest {
 protected:
  CacheTypes() : runtime_(2, GetParam()) {}
  void run(const ga_attention_params &params) const {
    ga_error error{};
    ASSERT_EQ(ga_attention_forward(runtime_.handle(), &params, &error), GA_OK) << error.message;
  }
  // Of the kernel that the plan names, without the phase.
  std::string types(const ga_attention_params &params) const {
    ga_error error{};
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    EXPECT_EQ(ga_attention_plan_for(runtime_.handle(), &params, &plan, &error), GA_OK) << error.message;
    const std::string kernel = plan.kernel, isa = std::string("_") + ga_isa_name(plan.isa);
    EXPECT_TRUE(kernel.ends_with(isa)) << kernel;
    const size_t first = kernel.find('_') + 1;
    return kernel.substr(first, kernel.size() - isa.size() - first);
  }
  Runtime runtime_;
};

TEST_P(CacheTypes, SixteenBitsUnderF32Queries) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 20;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(501, n));
    const Case c = random_shape(random, GA_F32);
    announce_case(describe(c));
    Instance instance(c);
    const ga_dtype type = random.pick<ga_dtype>({GA_BF16, GA_F16});
    Cache k(type, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(type, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    for (Cache *cache : {&k, &v})
      for (int64_t i = 0; i < cache->elements(); ++i) store(type, cache->at(i), random.normal());
    instance.params.k = k.tensor();
    instance.params.v = v.tensor();
    ASSERT_NO_FATAL_FAILURE(run(instance.params));
    EXPECT_EQ(compare(instance, reference_forward(instance.params), nullptr), "") << describe(c);
    EXPECT_EQ(types(instance.params), type == GA_BF16 ? "f32_bf16" : "f32_f16");
  }
}

// Fills whole numbers and their scales, and what they stand for in f32.
void quantize(Random &random, Cache &numbers, Cache &scales, Cache &values) {
  for (int64_t row = 0; row < scales.elements(); ++row) {
    const double scale = std::ldexp(random.unit() + 0.5, static_cast<int>(random.between(-8, -5)));
    store(GA_F32, scales.at(row), scale);
    for (int64_t d = 0; d < numbers.dim; ++d) {
      const auto whole = static_cast<int8_t>(random.between(-128, 127));
      std::memcpy(numbers.at(row * numbers.dim + d), &whole, 1);
      store(GA_F32, values.at(row * numbers.dim + d), whole * load(GA_F32, scales.at(row)));
    }
  }
}

// The same rows on pages of page_size in reverse order.
Cache on_pages(const Cache &dense, int64_t page_size) {
  const int64_t per_sequence = (dense.keys + page_size - 1) / page_size, pages = dense.batch * per_sequence;
  Cache paged(dense.dtype, pages, page_size, dense.heads, dense.dim);
  const int64_t row = dense.heads * dense.dim * size_of(dense.dtype);
  for (int64_t b = 0; b < dense.batch; ++b)
    for (int64_t j = 0; j < dense.keys; ++j) {
      const int64_t page = pages - 1 - (b * per_sequence + j / page_size);
      std::memcpy(paged.data.data() + (page * page_size + j % page_size) * row,
                  dense.data.data() + (b * dense.keys + j) * row, static_cast<size_t>(row));
    }
  return paged;
}

TEST_P(CacheTypes, WholeNumbersWithScales) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 20;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(502, n));
    const Case c = random_shape(random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}));
    announce_case(describe(c));
    Instance instance(c);
    Cache k(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    Cache k_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1), v_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1);
    Cache k_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim);
    Cache v_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
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
    ASSERT_NO_FATAL_FAILURE(run(params));
    EXPECT_EQ(compare(instance, reference, nullptr), "") << describe(c);
    EXPECT_EQ(types(params), c.dtype == GA_F32 ? "f32_i8" : c.dtype == GA_BF16 ? "bf16_i8" : "f16_i8");

    const std::vector<std::byte> dense = instance.out_bits();
    const int64_t page_size = random.pick<int64_t>({1, 16, 256}), per_sequence = (c.seq_k + page_size - 1) / page_size;
    Cache k_pages = on_pages(k, page_size), v_pages = on_pages(v, page_size);
    Cache k_scale_pages = on_pages(k_scale, page_size), v_scale_pages = on_pages(v_scale, page_size);
    Cache table(GA_I32, c.batch, per_sequence, 1, 1);
    for (int64_t i = 0; i < table.elements(); ++i)
      store(GA_I32, table.at(i), static_cast<double>(table.elements() - 1 - i));
    params.k = k_pages.tensor();
    params.v = v_pages.tensor();
    params.k_scale = k_scale_pages.tensor();
    params.v_scale = v_scale_pages.tensor();
    params.block_table = table.tensor();
    params.page_size = static_cast<int32_t>(page_size);
    params.pages = k_pages.batch;
    ASSERT_NO_FATAL_FAILURE(run(params));
    EXPECT_TRUE(instance.out_bits() == dense) << "page size " << page_size << ": " << describe(c);
  }
}

}  // namespace

GA_FOR_EACH_ISA(CacheTypes);

}  // namespace gatest
