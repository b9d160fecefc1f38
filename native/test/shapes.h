// Named shapes that between them take every path of the kernels: blocks, tails, split keys, shared heads.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "case.h"
#include "environment.h"

namespace gatest {

struct Shape {
  const char *name;
  int64_t batch, seq_q, seq_k;
  int32_t heads_q, heads_kv, head_dim, head_dim_v;
  bool causal;
};

// Under an emulator, shapes as small as takes the same paths.
inline bool small_shapes() { return setting("GA_SMALL_SHAPES", 0) == 1; }

inline const std::vector<Shape> &shapes() {
  static const std::vector<Shape> small = {
      {"prefill", 1, 130, 130, 4, 2, 64, 64, true},
      {"prefill of odd sizes", 2, 67, 69, 3, 1, 40, 72, true},
      {"long prefill", 1, 33, 269, 2, 1, 128, 128, false},
      {"decode", 3, 1, 1027, 4, 2, 64, 64, true},
      {"decode of one head", 2, 1, 519, 1, 1, 256, 256, true},
      {"decode of a wide group", 1, 1, 300, 16, 1, 96, 96, true},
      {"few queries, many keys", 2, 7, 1027, 2, 2, 64, 64, true},
      {"one key", 2, 33, 1, 2, 1, 64, 64, false},
  };
  static const std::vector<Shape> all = {
      {"prefill", 1, 300, 300, 4, 2, 64, 64, true},
      {"prefill of odd sizes", 2, 127, 129, 3, 1, 40, 72, true},
      {"long prefill", 1, 65, 1021, 2, 1, 128, 128, false},
      {"decode", 3, 1, 4099, 4, 2, 64, 64, true},
      {"decode of one head", 2, 1, 2047, 1, 1, 256, 256, true},
      {"decode of a wide group", 1, 1, 1500, 16, 1, 96, 96, true},
      {"few queries, many keys", 2, 7, 4099, 2, 2, 64, 64, true},
      {"one key", 2, 33, 1, 2, 1, 64, 64, false},
  };
  return small_shapes() ? small : all;
}

inline Case shaped_case(const Shape &shape, ga_dtype dtype, const Optional &optional = {}) {
  Case c;
  c.seed = 4711;
  c.dtype = dtype;
  c.batch = shape.batch;
  c.seq_q = shape.seq_q;
  c.seq_k = shape.seq_k;
  c.heads_q = shape.heads_q;
  c.heads_kv = shape.heads_kv;
  c.head_dim = shape.head_dim;
  c.head_dim_v = shape.head_dim_v;
  c.scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  c.flags = shape.causal ? GA_CAUSAL : 0;
  lay_out_densely(c, optional);
  if (optional.key_lengths) {
    for (int64_t b = 0; b < c.batch; ++b) c.lengths.push_back(static_cast<int32_t>(c.seq_k - b * c.seq_k / 3));
  }
  return c;
}

inline constexpr ga_dtype kFloatTypes[] = {GA_F32, GA_BF16, GA_F16};

}  // namespace gatest
