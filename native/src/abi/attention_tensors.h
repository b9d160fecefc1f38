// What the tensors of a forward call must look like; a backward call takes the same ones, and only reads them.
#pragma once

#include "abi/tensor_check.h"

namespace ga {

struct AttentionTensors {
  enum class Pass { kForward, kBackward };

  // Keeps references to the tensors of c.
  AttentionTensors(const ga_attention_params &c, Pass pass);
  AttentionTensors(const AttentionTensors &) = delete;
  AttentionTensors &operator=(const AttentionTensors &) = delete;

  Expected q, k, v, k_scale, v_scale, gate, norm_weight, sink;
  Expected key_lengths, query_lengths, key_starts, cu_seqlens_q, cu_seqlens_k, block_table;
  Expected out, lse;

  static constexpr int kInputs = 14, kAll = 16;
  const Expected *const all[kAll];  // the inputs of a forward call, then out and lse
};

// Each returns false when it refused. The numbers come first: extents follow from them.
bool check_attention_numbers(const ga_attention_params &c, Refusal &no);
bool check_attention_tensors(const ga_attention_params &c, const AttentionTensors &t, Purpose purpose, Problem &p,
                             Refusal &no);
bool check_workspace(const void *workspace, int64_t bytes, const Expected *const *tensors, int count, Refusal &no);

}  // namespace ga
