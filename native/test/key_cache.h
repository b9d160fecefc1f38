// Keys and values of another type than q, and the scales of whole numbers: for tests of the CPU's kernels and of CUDA's.
#pragma once

#include <cstdint>

#include "block.h"
#include "case.h"
#include "number.h"
#include "random.h"

namespace gatest {

// Dense keys, values or scales, [batch, rows, heads, dim], with known bytes around them.
struct KeyCache {
  ga_dtype dtype;
  int64_t batch, rows, heads, dim;
  Block block;

  KeyCache(ga_dtype type, int64_t b, int64_t n, int64_t h, int64_t d)
      : dtype(type), batch(b), rows(n), heads(h), dim(d), block(b * n * h * d * size_of(type), Placement::kRedZones) {}

  int64_t elements() const { return batch * rows * heads * dim; }
  std::byte *at(int64_t element) const { return block.data() + element * size_of(dtype); }
  ga_tensor tensor() const;
};

// A call whose keys and values are to be replaced by a cache's; with up to most_queries per sequence, mostly few.
Case random_key_cache_case(Random &random, ga_dtype dtype, int64_t most_queries);

// Fills whole numbers and their scales, and what they stand for in f32.
void quantize(Random &random, const KeyCache &whole_numbers, const KeyCache &scales, const KeyCache &values);

// The same rows on pages of page_size in reverse order.
KeyCache on_pages(const KeyCache &dense, int64_t page_size);

}  // namespace gatest
