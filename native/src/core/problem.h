// Checked calls. src/abi/validate*.cpp are the only places that make them; whoever holds one need not check it again.
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

// One sequence of the batch: where its rows lie, and which of its keys may be seen.
struct Sequence {
  int64_t query_entry, query_row;  // of q, gate, out and lse: entry of the batch axis, first row on the sequence axis
  int64_t queries, padding;        // rows that attend, and rows after them that are only blanked
  int64_t key_entry, key_row;      // of k and v, likewise
  const int32_t *pages;            // with a paged cache: the page of each page_size rows, from row 0 on
  int64_t keys;                    // those from key_row on that may be seen
};

// The rows of a result and what happens at the end of each.
struct Output {
  int64_t batch, seq_q;
  int32_t heads_q, head_dim_v;
  float norm_eps;
  ga_activation activation;
  ga_combination combination;
  ga_pre_gate pre_gate;
  bool round_before_gate;
  View gate, norm_weight, sink, out, lse;  // data == nullptr: absent
};

// A forward call.
struct Problem : Output {
  int64_t seq_k;
  int32_t heads_kv, group;  // group = heads_q / heads_kv: query heads that share a key/value head
  int32_t head_dim;
  int32_t page_size;                  // keys per page of a paged cache
  int64_t pages;                      // the batch extent of k and v there
  int64_t window_left, window_right;  // -1: unlimited; a causal mask is window_right = 0
  float scale;
  float softcap;                   // 0: none
  View q, k, v, k_scale, v_scale;  // data == nullptr: absent; the scales of an int8 cache
  View query_lengths, key_lengths, key_starts, cu_seqlens_q, cu_seqlens_k, block_table;
  GA_ALWAYS_INLINE ga_dtype dtype() const { return q.dtype; }
  // Every sequence of the batch has the same lengths.
  GA_ALWAYS_INLINE bool alike() const {
    return !query_lengths.data && !key_lengths.data && !key_starts.data && !cu_seqlens_q.data && !cu_seqlens_k.data;
  }

  // Of k or v.
  GA_ALWAYS_INLINE const char *key(const View &view, const Sequence &of, int64_t j, int64_t h) const {
    if (!of.pages) return view.at(of.key_entry, of.key_row + j, h);
    const uint32_t at = static_cast<uint32_t>(of.key_row + j), size = static_cast<uint32_t>(page_size);
    return view.at(of.pages[at / size], at % size, h);
  }
  GA_ALWAYS_INLINE float scale_of(const View &view, const Sequence &of, int64_t j, int64_t h) const {
    return *reinterpret_cast<const float *>(key(view, of, j, h));
  }
};

// A call that merges partial results over disjoint sets of keys.
struct Merge : Output {
  int64_t count;
  int64_t out_stride, lse_stride;  // elements from one partial to the next
  View partial_out, partial_lse;   // the first
};

}  // namespace ga
