#include "key_cache.h"

#include <cmath>
#include <cstring>

namespace gatest {

ga_tensor KeyCache::tensor() const {
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

Case random_key_cache_case(Random &random, ga_dtype dtype, int64_t most_queries) {
  constexpr int64_t kFew = 4;
  Case c;
  c.seed = random.next();
  c.dtype = dtype;
  c.batch = random.between(1, 2);
  c.heads_kv = random.pick<int32_t>({1, 2, 3, 8});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 2, 3, 8});
  c.head_dim = random.pick<int32_t>({8, 40, 64, 96, 128, 256});
  c.head_dim_v = random.chance(0.7) ? c.head_dim : 72;
  c.seq_q = most_queries <= kFew || random.chance(0.6) ? random.between(1, kFew) : random.between(kFew + 1, most_queries);
  c.seq_k = random.between(1, 300);
  c.scale = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.flags = random.chance(0.7) ? GA_CAUSAL : 0;
  if (random.chance(0.3)) c.window_left = random.between(0, 200);
  lay_out_densely(c, {.gate = true, .norm_weight = false, .lse = true});
  return c;
}

void quantize(Random &random, const KeyCache &whole_numbers, const KeyCache &scales, const KeyCache &values) {
  for (int64_t row = 0; row < scales.elements(); ++row) {
    // Of 17 bits, so that an element of 8 is exact in f32.
    const double scale =
        std::ldexp(std::floor((random.unit() + 0.5) * 0x1p16), static_cast<int>(random.between(-24, -21)));
    store(GA_F32, scales.at(row), scale);
    for (int64_t d = 0; d < whole_numbers.dim; ++d) {
      const auto whole = static_cast<int8_t>(random.between(-128, 127));
      std::memcpy(whole_numbers.at(row * whole_numbers.dim + d), &whole, 1);
      store(GA_F32, values.at(row * whole_numbers.dim + d), whole * load(GA_F32, scales.at(row)));
    }
  }
}

KeyCache on_pages(const KeyCache &dense, int64_t page_size) {
  const int64_t per_sequence = (dense.rows + page_size - 1) / page_size, pages = dense.batch * per_sequence;
  KeyCache paged(dense.dtype, pages, page_size, dense.heads, dense.dim);
  const int64_t row = dense.heads * dense.dim;
  for (int64_t b = 0; b < dense.batch; ++b)
    for (int64_t j = 0; j < dense.rows; ++j) {
      const int64_t page = pages - 1 - (b * per_sequence + j / page_size);
      std::memcpy(paged.at((page * page_size + j % page_size) * row), dense.at((b * dense.rows + j) * row),
                  static_cast<size_t>(row * size_of(dense.dtype)));
    }
  return paged;
}

}  // namespace gatest
