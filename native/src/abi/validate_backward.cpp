#include <cinttypes>
#include <initializer_list>

#include "abi/attention_tensors.h"

namespace ga {
namespace {

const char *gradient_rule(ga_dtype of) {
  return of == GA_F32 ? "f32" : of == GA_BF16 ? "bf16, its tensor's type, or f32" : "f16, its tensor's type, or f32";
}

// Of an input that passed its check, or is absent. Where it is shared along an axis the gradient has one element there.
Expected gradient(const char *name, const ga_tensor &tensor, const Expected &of) {
  const int like = of.tensor.data && of.tensor.dtype <= GA_F16 ? 1 << of.tensor.dtype : 0;
  Expected e = {name, tensor, {}, like | 1 << GA_F32, gradient_rule(of.tensor.dtype), false, true, false};
  for (int a = 0; a < 4; a++)
    e.extent[a] = of.shared_axes && of.tensor.stride[a] == 0 && of.extent[a] > 1 ? 1 : of.extent[a];
  return e;
}

bool check_sharing(const Expected &gradient, const Expected &of, Refusal &no) {
  constexpr const char *axes[4] = {"batch", "sequence", "head", "dim"};
  for (int a = 0; a < 4; a++) {
    const int64_t own = gradient.tensor.stride[a], stride = of.tensor.stride[a];
    if (of.extent[a] <= 1 || (own == 0) == (stride == 0)) continue;
    return no.invalid("%s has stride %" PRId64 " on its %s axis and %s has %" PRId64
                      "; it must be 0 exactly where that is, and the gradient is summed up there",
                      gradient.name, own, axes[a], of.name, stride);
  }
  return true;
}

// A gradient may be asked for of what there is.
bool check_gradient(const Expected &e, const Expected &of, Purpose purpose, View &view, Refusal &no) {
  if (!e.tensor.data) return true;
  if (!of.tensor.data && !of.required) return no.invalid("%s is given, but there is no %s", e.name, of.name);
  return (!of.shared_axes || check_sharing(e, of, no)) && check_tensor(e, purpose, view, no);
}

bool check_supported(const ga_attention_params &c, Refusal &no) {
  if (c.block_table.data)
    return no.with(GA_UNSUPPORTED, "block_table is given; there is no backward pass through a paged cache");
  if (c.flags & GA_ROUND_BEFORE_GATE)
    return no.with(GA_UNSUPPORTED, "flags has GA_ROUND_BEFORE_GATE (%d); there is no backward pass through that rounding",
                   GA_ROUND_BEFORE_GATE);
  return true;
}

bool check_key_type(const ga_attention_params &c, Refusal &no) {
  if (c.k.dtype == c.q.dtype) return true;
  constexpr const char *names[] = {"f32", "bf16", "f16", "i32", "i8"};
  return no.with(GA_UNSUPPORTED, "k and v are %s and q is %s; the backward pass needs them to have one type",
                 names[c.k.dtype], names[c.q.dtype]);
}

}  // namespace

bool check_backward(const ga_attention_params *forward, const ga_attention_backward_params *backward, Purpose purpose,
                    BackwardProblem &p, Refusal &no) {
  if (!forward) return no.invalid("forward is NULL");
  if (!backward) return no.invalid("backward is NULL");
  if (!check_struct_size("ga_attention_params", forward->struct_size, sizeof *forward, no) ||
      !check_struct_size("ga_attention_backward_params", backward->struct_size, sizeof *backward, no))
    return false;
  const ga_attention_params c = *forward;  // checked and used as one copy: the caller may write to his meanwhile
  const ga_attention_backward_params g = *backward;
  if (!check_attention_numbers(c, no) || !check_supported(c, no)) return false;

  AttentionTensors t(c, AttentionTensors::Pass::kBackward);
  t.out.required = !g.ungated.data && out_tells_ungated(c.pre_gate, c.gate.data != nullptr, c.combination, c.activation);
  if (!check_attention_tensors(c, t, purpose, p, no) || !check_key_type(c, no)) return false;

  const Expected dout = {
      "dout", g.dout, {t.out.extent[0], c.seq_q, c.heads_q, c.head_dim_v}, t.out.types, t.out.type_rule, false,
      false,  true};
  const Expected ungated = {"ungated",
                            g.ungated,
                            {t.out.extent[0], c.seq_q, c.heads_q, c.head_dim_v},
                            t.out.types | 1 << GA_F32,
                            c.q.dtype == GA_F32 ? "f32" : "the type of q, or f32",
                            false,
                            false,
                            false};
  const Expected dq = gradient("dq", g.dq, t.q), dk = gradient("dk", g.dk, t.k), dv = gradient("dv", g.dv, t.v);
  const Expected dgate = gradient("dgate", g.dgate, t.gate);
  const Expected dnorm_weight = gradient("dnorm_weight", g.dnorm_weight, t.norm_weight);
  const Expected dsink = gradient("dsink", g.dsink, t.sink);
  if (!check_tensor(dout, purpose, p.dout, no) || !check_tensor(ungated, purpose, p.ungated, no) ||
      !check_gradient(dq, t.q, purpose, p.dq, no) || !check_gradient(dk, t.k, purpose, p.dk, no) ||
      !check_gradient(dv, t.v, purpose, p.dv, no) || !check_gradient(dgate, t.gate, purpose, p.dgate, no) ||
      !check_gradient(dnorm_weight, t.norm_weight, purpose, p.dnorm_weight, no) ||
      !check_gradient(dsink, t.sink, purpose, p.dsink, no))
    return false;
  p.dsink.dim = 0;

  for (int i = 0; i < AttentionTensors::kInputs; i++)
    if (!check_overlap(t.out, *t.all[i], false, no) || !check_overlap(t.lse, *t.all[i], false, no)) return false;
  if (!check_overlap(t.lse, t.out, false, no)) return false;

  constexpr int kInputs = AttentionTensors::kAll + 2, kGradients = 6;
  const Expected *all[kInputs + kGradients];
  for (int i = 0; i < AttentionTensors::kAll; i++) all[i] = t.all[i];
  all[kInputs - 2] = &dout;
  all[kInputs - 1] = &ungated;
  int last = kInputs;
  for (const Expected *output : {&dq, &dk, &dv, &dgate, &dnorm_weight, &dsink}) {
    for (int i = 0; i < last; i++)
      if (!check_overlap(*output, *all[i], false, no)) return false;
    all[last++] = output;
  }
  return check_workspace(g.workspace, g.workspace_bytes, all, last, no);
}

}  // namespace ga
