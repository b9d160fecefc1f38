// One checked call. src/abi/validate.cpp is the only place that makes a Problem; whoever holds one need not check it again.
#pragma once

#include "core/number.h"
#include "gated_attention.h"

namespace ga {

// A strided view; strides in elements, axes [batch, sequence, head, dim].
struct View {
  char *data = nullptr;
  int64_t batch = 0, sequence = 0, head = 0, dim = 0;
  ga_dtype dtype = GA_F32;
  int32_t element_bytes = 4;

  GA_ALWAYS_INLINE char *at(int64_t b, int64_t s, int64_t h) const {
    return data + (b * batch + s * sequence + h * head) * element_bytes;
  }
};

struct Problem {
  int64_t batch, seq_q, seq_k;
  int32_t heads_q, heads_kv, group;  // group = heads_q / heads_kv: query heads that share a key/value head
  int32_t head_dim, head_dim_v;
  int64_t window_left, window_right;  // -1: unlimited; a causal mask is window_right = 0
  float scale, norm_eps;
  ga_activation activation;
  ga_combination combination;
  ga_pre_gate pre_gate;
  bool round_before_gate;
  View q, k, v, gate, norm_weight, out, lse, key_lengths;  // data == nullptr: absent
  GA_ALWAYS_INLINE ga_dtype dtype() const { return q.dtype; }

  GA_ALWAYS_INLINE int64_t key_length(int64_t b) const {
    return key_lengths.data ? *reinterpret_cast<const int32_t *>(key_lengths.at(b, 0, 0)) : seq_k;
  }
};

}  // namespace ga
