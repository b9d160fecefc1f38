// Offsets beyond 2^31 elements, in mappings of which only a few pages are ever touched.

#include <gtest/gtest.h>

#include <cmath>

#include "instance.h"
#include "isa_test.h"
#include "number.h"
#include "random.h"
#include "reference.h"
#include "sparse.h"

namespace gatest {
namespace {

void fill(const ga_tensor &tensor, const int64_t (&first)[3], const int64_t (&end)[3], int64_t dim) {
  Random random(static_cast<uint64_t>(dim + end[1]));
  for (int64_t b = first[0]; b < end[0]; ++b) {
    for (int64_t s = first[1]; s < end[1]; ++s) {
      for (int64_t h = first[2]; h < end[2]; ++h) {
        for (int64_t d = 0; d < dim; ++d) store(tensor.dtype, address(tensor, b, s, h, d), random.normal());
      }
    }
  }
}

void run_and_compare(ga_isa isa, const ga_attention_params &params) {
  const Runtime runtime(2, isa);
  const Reference reference = reference_forward(params);
  ga_error error{};
  ASSERT_EQ(ga_attention_forward(runtime.handle(), &params, &error), GA_OK) << error.message;
  size_t n = 0;
  for (int64_t b = 0; b < params.batch; ++b) {
    for (int64_t i = 0; i < params.seq_q; ++i) {
      for (int64_t h = 0; h < params.heads_q; ++h) {
        for (int64_t d = 0; d < params.head_dim_v; ++d, ++n) {
          const double result = load(params.out.dtype, address(params.out, b, i, h, d));
          ASSERT_LE(std::fabs(result - reference.out[n]), reference.out_bound[n])
              << "out[" << b << ", " << i << ", " << h << ", " << d << "] is " << result << ", float64 says "
              << reference.out[n];
        }
      }
    }
  }
}

ga_attention_params plain_params(int64_t batch, int64_t seq_q, int64_t seq_k, int32_t heads) {
  ga_attention_params params{};
  params.struct_size = sizeof params;
  params.batch = batch;
  params.seq_q = seq_q;
  params.seq_k = seq_k;
  params.heads_q = params.heads_kv = heads;
  params.head_dim = params.head_dim_v = 64;
  params.window_left = params.window_right = -1;
  params.scale = 0.125F;
  return params;
}

class LargeMemory : public IsaTest {};

// Each axis in turn has the stride that reaches past 2^31, and past 2^32, elements.
TEST_P(LargeMemory, StridesBeyond31Bits) {
  constexpr int64_t kFar = (int64_t{1} << 31) + 4099;
  for (const int64_t queries : {1, 40}) {
    for (size_t axis = 0; axis < 3; ++axis) {
      const int64_t rows = axis == 1 ? 3 : queries;
      const int64_t keys = axis == 1 ? 3 : 70;
      int64_t heads = 3;
      ga_attention_params params = plain_params(axis == 0 ? 3 : 1, rows, keys, static_cast<int32_t>(heads));
      int64_t stride[4] = {128 * 200, 64 * heads, 64, 1};
      stride[axis] = kFar;
      const int64_t query_extent[4] = {params.batch, rows, heads, 64};
      const int64_t key_extent[4] = {params.batch, keys, heads, 64};
      const int64_t bytes = (2 * kFar + 128 * 200 + 200 * 64 * heads) * 2;
      const Sparse q(bytes), k(bytes), v(bytes), gate(bytes), out(bytes);
      params.q = view(q, GA_BF16, query_extent, stride);
      params.k = view(k, GA_BF16, key_extent, stride);
      params.v = view(v, GA_BF16, key_extent, stride);
      params.gate = view(gate, GA_BF16, query_extent, stride);
      params.out = view(out, GA_BF16, query_extent, stride);
      for (const ga_tensor *tensor : {&params.q, &params.gate}) fill(*tensor, {0, 0, 0}, {params.batch, rows, heads}, 64);
      for (const ga_tensor *tensor : {&params.k, &params.v}) fill(*tensor, {0, 0, 0}, {params.batch, keys, heads}, 64);
      SCOPED_TRACE("axis " + std::to_string(axis));
      run_and_compare(GetParam(), params);
    }
  }
}

// A cache of more than 2^31 elements: densely packed for one query, or with its keys far apart, as a cache of many layers
// and heads has them, for several.
struct Cache {
  int64_t queries;
  int64_t keys;
  int64_t key_stride;
};

const Cache kCaches[] = {{1, (int64_t{1} << 25) + 777, 64}, {40, (int64_t{1} << 15) + 777, (1 << 16) + 64}};

ga_attention_params params_with_cache(const Cache &cache, int64_t batch, const Sparse &k, const Sparse &v,
                                      const Sparse &small) {
  ga_attention_params params = plain_params(batch, cache.queries, cache.keys, 1);
  params.flags = GA_CAUSAL;
  const int64_t extent[4] = {batch, cache.keys, 1, 64};
  const int64_t stride[4] = {cache.keys * cache.key_stride, cache.key_stride, 64, 1};
  params.k = view(k, GA_BF16, extent, stride);
  params.v = view(v, GA_BF16, extent, stride);
  params.q = view(small, GA_BF16, {batch, cache.queries, 1, 64}, {cache.queries * 64, 64, 64, 1});
  params.out = params.q;
  params.out.data = small.data() + (1 << 16);
  fill(params.q, {0, 0, 0}, {batch, cache.queries, 1}, 64);
  return params;
}

// The sequences use a little of the capacity.
TEST_P(LargeMemory, CapacityBeyond31Bits) {
  for (const Cache &cache : kCaches) {
    const int64_t bytes = 2 * cache.keys * cache.key_stride * 2;
    const Sparse k(bytes), v(bytes), small(1 << 17);
    ga_attention_params params = params_with_cache(cache, 2, k, v, small);
    int32_t lengths[2] = {300, 41};
    params.key_lengths.data = lengths;
    params.key_lengths.bytes = sizeof lengths;
    params.key_lengths.stride[0] = 1;
    params.key_lengths.dtype = GA_I32;
    for (const ga_tensor *tensor : {&params.k, &params.v}) fill(*tensor, {0, 0, 0}, {2, 301, 1}, 64);
    run_and_compare(GetParam(), params);
  }
}

// Of a very long sequence only the window at its end is seen.
TEST_P(LargeMemory, WindowAtTheEndOfALongSequence) {
  for (const Cache &cache : kCaches) {
    const int64_t bytes = cache.keys * cache.key_stride * 2;
    const Sparse k(bytes), v(bytes), small(1 << 17);
    ga_attention_params params = params_with_cache(cache, 1, k, v, small);
    params.window_left = 100;
    for (const ga_tensor *tensor : {&params.k, &params.v})
      fill(*tensor, {0, cache.keys - 200, 0}, {1, cache.keys, 1}, 64);
    run_and_compare(GetParam(), params);
  }
}

GA_FOR_EACH_ISA(LargeMemory);

}  // namespace
}  // namespace gatest
