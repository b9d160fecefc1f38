#include "abi/tensor_check.h"

namespace ga {
namespace {

bool check_numbers(const ga_merge_params &c, Refusal &no) {
  if (!check_range("batch", c.batch, 0, kMaxExtent, no) || !check_range("seq_q", c.seq_q, 0, kMaxExtent, no) ||
      !check_range("count", c.count, 1, kMaxExtent, no) || !check_range("heads_q", c.heads_q, 1, 1 << 20, no) ||
      !check_head_dim("head_dim_v", c.head_dim_v, no))
    return false;
  if (c.reserved != 0) return no.invalid("reserved is %d; it must be 0", c.reserved);
  return check_flags(c.flags, GA_ROUND_BEFORE_GATE, no) &&
         check_options({c.norm_eps, c.activation, c.combination, c.pre_gate, c.norm_weight}, no);
}

}  // namespace

bool check_merge(const ga_merge_params *params, Merge &m, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_merge_params", params->struct_size, sizeof *params, no)) return false;
  const ga_merge_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  if (!check_numbers(c, no)) return false;

  constexpr int f32 = 1 << GA_F32;
  const int64_t b = c.batch, s = c.seq_q, h = c.heads_q, dv = c.head_dim_v;
  const Expected partial = {"partial_out", c.partial_out, {b, s, h, dv}, kFloats, kFloatsRule,
                            false,         false,         true,          c.count, c.partial_out_stride};
  const Expected partial_lse = {"partial_lse", c.partial_lse, {b, s, h, 1}, f32,     "f32",
                                false,         false,         true,         c.count, c.partial_lse_stride};
  const Expected gate = {"gate", c.gate, {b, s, h, dv}, kFloats, kFloatsRule, true, false, false};
  const Expected weight = {"norm_weight", c.norm_weight, {1, 1, h, dv}, kFloats, kFloatsRule, true, false, false};
  const Expected sink = {"sink", c.sink, {1, 1, h, 1}, kFloats, kFloatsRule, true, false, false};
  const Expected out = {"out", c.out, {b, s, h, dv}, kFloats, kFloatsRule, false, true, true};
  const Expected lse = {"lse", c.lse, {b, s, h, 1}, f32, "f32", false, true, false};
  constexpr Purpose purpose = Purpose::kCall;
  if (!check_tensor(partial, purpose, m.partial_out, no) || !check_tensor(partial_lse, purpose, m.partial_lse, no) ||
      !check_tensor(gate, purpose, m.gate, no) || !check_tensor(weight, purpose, m.norm_weight, no) ||
      !check_tensor(sink, purpose, m.sink, no) || !check_tensor(out, purpose, m.out, no) ||
      !check_tensor(lse, purpose, m.lse, no))
    return false;
  m.sink.dim = 0;  // one logit per head, whatever stride was given

  const Expected *const inputs[] = {&partial, &partial_lse, &gate, &weight, &sink};
  for (const Expected *input : inputs)
    if (!check_overlap(out, *input, input == &gate, no) || !check_overlap(lse, *input, false, no)) return false;
  if (!check_overlap(lse, out, false, no)) return false;

  m.batch = c.batch;
  m.seq_q = c.seq_q;
  m.count = c.count;
  m.out_stride = c.partial_out_stride;
  m.lse_stride = c.partial_lse_stride;
  m.heads_q = c.heads_q;
  m.head_dim_v = c.head_dim_v;
  m.norm_eps = c.norm_eps;
  m.activation = c.activation;
  m.combination = c.combination;
  m.pre_gate = c.pre_gate;
  m.round_before_gate = c.flags & GA_ROUND_BEFORE_GATE;
  return true;
}

}  // namespace ga
