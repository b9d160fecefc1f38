// Keys and values of another type than q: 16 bits under f32 queries, and whole numbers with a scale per token and head.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "environment.h"
#include "instance.h"
#include "isa_test.h"
#include "key_cache.h"
#include "number.h"
#include "random.h"
#include "reference.h"

namespace gatest {
namespace {

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
    const Case c = random_key_cache_case(random, GA_F32, 90);
    announce_case(describe(c));
    Instance instance(c);
    const ga_dtype type = random.pick<ga_dtype>({GA_BF16, GA_F16});
    KeyCache k(type, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(type, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    for (KeyCache *cache : {&k, &v})
      for (int64_t i = 0; i < cache->elements(); ++i) store(type, cache->at(i), random.normal());
    instance.params.k = k.tensor();
    instance.params.v = v.tensor();
    ASSERT_NO_FATAL_FAILURE(run(instance.params));
    EXPECT_EQ(compare(instance, reference_forward(instance.params), nullptr), "") << describe(c);
    EXPECT_EQ(types(instance.params), type == GA_BF16 ? "f32_bf16" : "f32_f16");
  }
}

TEST_P(CacheTypes, WholeNumbersWithScales) {
  const int64_t cases = setting("GA_RANDOM_CASES", 600) / 20;
  for (int64_t n = 0; n < cases; ++n) {
    Random random(case_seed(502, n));
    const Case c = random_key_cache_case(random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}), 90);
    announce_case(describe(c));
    Instance instance(c);
    KeyCache k(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim), v(GA_I8, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    KeyCache k_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1), v_scale(GA_F32, c.batch, c.seq_k, c.heads_kv, 1);
    KeyCache k_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim);
    KeyCache v_value(GA_F32, c.batch, c.seq_k, c.heads_kv, c.head_dim_v);
    quantize(random, k, k_scale, k_value);
    quantize(random, v, v_scale, v_value);
    ga_attention_params &params = instance.params;
    params.k = k_value.tensor();
    params.v = v_value.tensor();
    const Reference reference = reference_forward(params);
    for (int64_t b = 0; b < c.batch; ++b) {  // scales of keys that no row sees may be anything
      const int64_t length = key_length(params, b);
      const int64_t first = visible_keys(params, length, 0).first, end = visible_keys(params, length, c.seq_q - 1).end;
      for (int64_t s = 0; s < c.seq_k; ++s)
        for (int64_t h = 0; h < c.heads_kv && (s < first || s >= end); ++h)
          for (KeyCache *scale : {&k_scale, &v_scale})
            store(GA_F32, scale->at((b * c.seq_k + s) * c.heads_kv + h), std::numeric_limits<double>::quiet_NaN());
    }
    params.k = k.tensor();
    params.v = v.tensor();
    params.k_scale = k_scale.tensor();
    params.v_scale = v_scale.tensor();
    ASSERT_NO_FATAL_FAILURE(run(params));
    EXPECT_EQ(compare(instance, reference, nullptr), "") << describe(c);
    EXPECT_EQ(types(params), c.dtype == GA_F32 ? "f32_i8" : c.dtype == GA_BF16 ? "bf16_i8" : "f16_i8");

    const std::vector<std::byte> dense = instance.out_bits();
    const int64_t page_size = random.pick<int64_t>({1, 16, 256}), per_sequence = (c.seq_k + page_size - 1) / page_size;
    KeyCache k_pages = on_pages(k, page_size), v_pages = on_pages(v, page_size);
    KeyCache k_scale_pages = on_pages(k_scale, page_size), v_scale_pages = on_pages(v_scale, page_size);
    KeyCache table(GA_I32, c.batch, per_sequence, 1, 1);
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

// The products of two large parts of a key cancel out to nothing, so that a score is 0, whatever the key's scale: but only where
// the scale has rounded no element, which would leave some 1e-2.
TEST_P(CacheTypes, ScalesRoundNoElement) {
  constexpr int kHigh = 100, kLow = -127;
  for (const ga_dtype dtype : {GA_F32, GA_BF16, GA_F16}) {
    for (const int64_t rows : {2, 150}) {
      Case c;
      c.dtype = dtype;
      c.seq_q = c.seq_k = rows;
      c.head_dim = 256;
      c.head_dim_v = 8;
      c.flags = GA_CAUSAL;
      c.scale = 1e4;
      c.window_left = 0;  // each row sees one key
      lay_out_densely(c, {.gate = false, .norm_weight = false, .lse = true});
      const Instance instance(c);
      KeyCache k(GA_I8, 1, rows, 1, c.head_dim), v(GA_I8, 1, rows, 1, c.head_dim_v), scales(GA_F32, 1, rows, 1, 1);
      Random random(case_seed(503, rows));
      quantize(random, v, scales, KeyCache(GA_F32, 1, rows, 1, c.head_dim_v));
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t d = 0; d < c.head_dim; ++d) {
          const int8_t whole = d < -kLow ? kHigh : d < kHigh - kLow ? kLow : 0;
          std::memcpy(k.at(i * c.head_dim + d), &whole, 1);
          store(dtype, instance.address(c.q, 0, i, 0, d), 1);
        }
      }
      ga_attention_params params = instance.params;
      params.k = k.tensor();
      params.v = v.tensor();
      params.k_scale = params.v_scale = scales.tensor();
      ASSERT_NO_FATAL_FAILURE(run(params));
      for (int64_t i = 0; i < rows; ++i) EXPECT_NEAR(load(GA_F32, instance.address(c.lse, 0, i, 0, 0)), 0, 1e-4) << i;
    }
  }
}

// A value whose key has next to no weight is all there is of a column of zeros: small scales must not take it below bf16's numbers.
TEST_P(CacheTypes, SmallScalesLeaveSmallWeights) {
  for (const ga_dtype dtype : {GA_F32, GA_BF16}) {
    for (const int64_t rows : {1, 12, 150}) {
      Case c;
      c.dtype = dtype;
      c.seq_q = rows;
      c.seq_k = 40;
      c.head_dim = c.head_dim_v = 64;
      c.scale = 1;
      lay_out_densely(c, {.gate = false, .norm_weight = false});
      const Instance instance(c);
      const KeyCache k(GA_I8, 1, c.seq_k, 1, 64), v(GA_I8, 1, c.seq_k, 1, 64), scales(GA_F32, 1, c.seq_k, 1, 1);
      for (const KeyCache *cache : {&k, &v}) std::memset(cache->at(0), 0, static_cast<size_t>(cache->elements()));
      for (int64_t i = 0; i < c.seq_k; ++i) store(GA_F32, scales.at(i), 0x1p-10);
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t d = 0; d < 64; ++d) store(dtype, instance.address(c.q, 0, i, 0, d), d == 0 ? 1 : 0);
      const int8_t whole = 100;
      std::memcpy(k.at(0), &whole, 1);  // the first key has all the weight, and a value of 0; others weigh 2^-118
      std::memcpy(v.at(7 * 64 + 5), &whole, 1);
      store(GA_F32, scales.at(0), 118 * std::log(2.0) / whole);
      ga_attention_params params = instance.params;
      params.k = k.tensor();
      params.v = v.tensor();
      params.k_scale = params.v_scale = scales.tensor();
      ASSERT_NO_FATAL_FAILURE(run(params));
      for (int64_t i = 0; i < rows; ++i)
        ASSERT_NEAR(load(dtype, instance.address(c.out, 0, i, 0, 5)) * 0x1p128, whole, 1)
            << "row " << i << " of " << describe(c);
    }
  }
}

// As a value, whose one key has all the weight, and as an element of that key, which a query of one 1 and zeros picks out.
TEST_P(CacheTypes, EveryWholeNumberIsExact) {
  for (const ga_dtype dtype : {GA_F32, GA_BF16, GA_F16}) {
    for (const int64_t dim : {8, 64, 72, 200}) {
      for (const int64_t rows : {1, 2, 3, 12, 40}) {
        Case c;
        c.dtype = dtype;
        c.batch = 512 / dim + 1;
        c.seq_q = rows;
        c.seq_k = 1;
        c.head_dim = c.head_dim_v = dim;
        c.scale = 1;
        lay_out_densely(c, {.gate = false, .norm_weight = false, .lse = true});
        const Instance instance(c);
        const KeyCache wholes(GA_I8, c.batch, 1, 1, dim), scales(GA_F32, c.batch, 1, 1, 1);
        const auto whole = [&](int64_t b, int64_t d) { return (b * dim + d) % 256 - 128; };
        const auto picked = [&](int64_t b, int64_t i) { return (b * 7 + i * 3) % dim; };
        for (int64_t b = 0; b < c.batch; ++b) {
          for (int64_t d = 0; d < dim; ++d) {
            const auto byte = static_cast<int8_t>(whole(b, d));
            std::memcpy(wholes.at(b * dim + d), &byte, 1);
          }
          store(GA_F32, scales.at(b), 1);
          for (int64_t i = 0; i < rows; ++i)
            for (int64_t d = 0; d < dim; ++d) store(dtype, instance.address(c.q, b, i, 0, d), 0);
        }
        ga_attention_params params = instance.params;
        params.k = params.v = wholes.tensor();
        params.k_scale = params.v_scale = scales.tensor();
        ASSERT_NO_FATAL_FAILURE(run(params));
        for (int64_t b = 0; b < c.batch; ++b)
          for (int64_t i = 0; i < rows; ++i)
            for (int64_t d = 0; d < dim; ++d)
              ASSERT_NEAR(load(dtype, instance.address(c.out, b, i, 0, d)), static_cast<double>(whole(b, d)), 1e-4)
                  << "column " << d << " of row " << i << ": " << describe(c);
        for (int64_t b = 0; b < c.batch; ++b)
          for (int64_t i = 0; i < rows; ++i) store(dtype, instance.address(c.q, b, i, 0, picked(b, i)), 1);
        ASSERT_NO_FATAL_FAILURE(run(params));
        for (int64_t b = 0; b < c.batch; ++b)
          for (int64_t i = 0; i < rows; ++i)
            ASSERT_NEAR(load(GA_F32, instance.address(c.lse, b, i, 0, 0)), static_cast<double>(whole(b, picked(b, i))),
                        1e-2)
                << "dim " << picked(b, i) << " of row " << i << ": " << describe(c);
      }
    }
  }
}

// And no others, whose bits stay, though they may multiply it by a weight of 0.
TEST_P(CacheTypes, AScaleThatIsNoNumberReachesTheRowsThatSeeItsKey) {
  for (const ga_dtype dtype : {GA_F32, GA_BF16, GA_F16}) {
    for (const int64_t rows : {3, 100}) {
      constexpr int64_t kKeys = 120;
      const int64_t spoiled = kKeys - rows + rows / 2;  // seen by the later half of the rows
      Case c;
      c.dtype = dtype;
      c.seq_q = rows;
      c.seq_k = kKeys;
      c.heads_q = 2;
      c.head_dim = c.head_dim_v = 64;
      c.scale = 0.125;
      c.flags = GA_CAUSAL;
      lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
      Random random(case_seed(504, rows));
      KeyCache k(GA_I8, 1, kKeys, 1, 64), v(GA_I8, 1, kKeys, 1, 64), f32(GA_F32, 1, kKeys, 1, 64);
      KeyCache k_scale(GA_F32, 1, kKeys, 1, 1), v_scale(GA_F32, 1, kKeys, 1, 1);
      quantize(random, k, k_scale, f32);
      quantize(random, v, v_scale, f32);
      const Instance instance(c);
      ga_attention_params params = instance.params;
      params.k = k.tensor();
      params.v = v.tensor();
      params.k_scale = k_scale.tensor();
      params.v_scale = v_scale.tensor();
      ASSERT_NO_FATAL_FAILURE(run(params));
      const std::vector<std::byte> clean = instance.out_bits();
      for (const KeyCache *scale : {&k_scale, &v_scale}) {
        const double before = load(GA_F32, scale->at(spoiled));
        store(GA_F32, scale->at(spoiled), std::numeric_limits<double>::quiet_NaN());
        ASSERT_NO_FATAL_FAILURE(run(params));
        store(GA_F32, scale->at(spoiled), before);
        const std::vector<std::byte> bits = instance.out_bits();
        const auto unseen = static_cast<std::ptrdiff_t>(bits.size()) / rows * (rows / 2);
        EXPECT_TRUE(std::equal(bits.begin(), bits.begin() + unseen, clean.begin())) << describe(c);
        for (int64_t i = rows / 2; i < rows; ++i)
          for (int64_t d = 0; d < 64; ++d)
            EXPECT_TRUE(std::isnan(load(dtype, instance.address(c.out, 0, i, 1, d)))) << i << ", " << d;
      }
    }
  }
}

}  // namespace

GA_FOR_EACH_ISA(CacheTypes);

}  // namespace gatest
