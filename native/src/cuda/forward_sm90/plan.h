// Which calls the Hopper kernels compute, and how a call is cut: on the host, before anything is launched.
#pragma once

#include "cuda/forward_sm90/arguments.h"
#include "cuda/forward_sm90/maps.h"

namespace ga::cuda::sm90 {

inline GateKind gate_kind(const Problem &p) {
  return !p.gate.data ? GateKind::kNone : p.gate.dim == 0 ? GateKind::kHead : GateKind::kElement;
}

// nullptr: computed here; else why not, as a clause.
inline const char *refusal(const Problem &p) {
  if (p.dtype() != GA_BF16 && p.dtype() != GA_F16) return "q is neither bf16 nor f16";
  if (p.k.dtype != p.dtype() || p.v.dtype != p.dtype()) return "k and v are not of q's type";
  if (p.out.dtype != p.dtype()) return "out is not of q's type";
  const int d = p.head_dim;
  if (p.head_dim_v != d) return "head_dim_v is not head_dim";
  if (d != 64 && d != 96 && d != 128 && d != 192 && d != 256) return "head_dim is not 64, 96, 128, 192 or 256";
  if (p.block_table.data) return "a paged cache is not in the Hopper kernels";
  if (p.softcap > 0) return "softcap is not in the Hopper kernels";
  if (p.pre_gate != GA_PRE_NONE) return "a step before the gate is not in the Hopper kernels";
  if (p.round_before_gate) return "rounding before the gate is not in the Hopper kernels";
  if (!(p.scale > 0)) return "scale is not above 0";
  if (p.seq_k == 0) return "there are no keys";
  if (p.seq_k >= 1 << 29 || p.seq_q >= 1 << 29 || p.batch >= 1 << 29)
    return "an axis is longer than the Hopper kernels count";
  if (gate_kind(p) == GateKind::kElement) {
    if (p.gate.dtype != p.dtype()) return "an element-wise gate is not of q's type";
    if (p.gate.sequence == 0 && p.seq_q > 1) return "an element-wise gate is shared along the sequence";
    if (const char *no = refusal_of(plan_map(p, Operand::kGate))) return no;
  }
  for (const Operand operand : {Operand::kQuery, Operand::kKey, Operand::kValue, Operand::kOut}) {
    if (const char *no = refusal_of(plan_map(p, operand))) return no;
  }
  const int64_t blocks = ceil_div(p.seq_q, Shape::query_block) + (p.cu_seqlens_q.data ? p.batch : 0);
  if (blocks * p.batch * p.heads_q > INT32_MAX) return "there are more tiles than the Hopper kernels count";
  return nullptr;
}

// l2_bytes: half of it is for the keys and values of heads that run at the same time.
inline Work work_of(const Problem &p, int64_t l2_bytes) {
  const bool packed = p.cu_seqlens_q.data;
  Work w = {static_cast<int32_t>(ceil_div(p.seq_q, Shape::query_block) + (packed ? p.batch : 0)),
            static_cast<int32_t>(p.batch), p.heads_q, 1, packed};
  const int64_t head_bytes = 4 * p.seq_k * p.head_dim;  // K and V of one key/value head, which a group shares
  const int64_t pairs = p.batch * p.heads_q, fit = p.group * (l2_bytes / 2 / head_bytes);
  w.section = static_cast<int32_t>(fit < p.group ? p.group : fit > pairs ? pairs : fit);
  return w;
}

// All of the arguments but the tensor maps.
inline Arguments arguments_of(const Problem &p, int64_t l2_bytes) {
  Arguments a = {};
  a.p = p;
  a.work = work_of(p, l2_bytes);
  a.scale_log2 = p.scale * 1.44269504F;
  return a;
}

}  // namespace ga::cuda::sm90
