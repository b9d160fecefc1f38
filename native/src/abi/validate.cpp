#include "abi/validate.h"

#include <cinttypes>

#include "abi/attention_tensors.h"

namespace ga {
namespace {

// Each axis is described once: packed, by lengths, or by pages.
bool check_ragged(const ga_attention_params &c, Refusal &no) {
  const auto both = [&](const char *a, const ga_tensor &x, const char *b, const ga_tensor &y) {
    if (!x.data || !y.data) return true;
    return no.invalid("%s and %s are both given; only one of them can say where the sequences are", a, b);
  };
  if (!both("cu_seqlens_q", c.cu_seqlens_q, "query_lengths", c.query_lengths) ||
      !both("cu_seqlens_k", c.cu_seqlens_k, "key_lengths", c.key_lengths) ||
      !both("cu_seqlens_k", c.cu_seqlens_k, "key_starts", c.key_starts) ||
      !both("cu_seqlens_k", c.cu_seqlens_k, "block_table", c.block_table))
    return false;
  if (c.k.dtype != GA_I8 && (c.k_scale.data || c.v_scale.data))
    return no.invalid("%s is given, but k is not i8", c.k_scale.data ? "k_scale" : "v_scale");
  if (!c.block_table.data) {
    if (c.page_size != 0 || c.pages != 0)
      return no.invalid("page_size is %d and pages is %" PRId64 ", but there is no block_table; both must be 0",
                        c.page_size, c.pages);
    return true;
  }
  if (c.seq_k > INT32_MAX)
    return no.invalid("seq_k is %" PRId64 "; with a block_table it must be at most %d", c.seq_k, INT32_MAX);
  return check_range("page_size", c.page_size, 1, 1 << 16, no) && check_range("pages", c.pages, 0, INT32_MAX, no);
}

bool check_numbers(const ga_attention_params &c, Refusal &no) {
  if (!check_range("batch", c.batch, 0, kMaxExtent, no) || !check_range("seq_q", c.seq_q, 0, kMaxExtent, no) ||
      !check_range("seq_k", c.seq_k, 0, kMaxExtent, no) || !check_range("heads_kv", c.heads_kv, 1, 1 << 20, no) ||
      !check_range("heads_q", c.heads_q, 1, 1 << 20, no))
    return false;
  if (c.heads_q % c.heads_kv != 0)
    return no.invalid("heads_q is %d, which is not a multiple of heads_kv %d", c.heads_q, c.heads_kv);
  if (!check_head_dim("head_dim", c.head_dim, no) || !check_head_dim("head_dim_v", c.head_dim_v, no) ||
      !check_range("window_left", c.window_left, -1, INT64_MAX, no) ||
      !check_range("window_right", c.window_right, -1, INT64_MAX, no))
    return false;
  if (!is_finite(c.scale))
    return no.invalid("scale is %g; it must be finite (usually 1 / sqrt(head_dim))", static_cast<double>(c.scale));
  if (!(is_finite(c.softcap) && c.softcap >= 0))
    return no.invalid("softcap is %g; it must be 0 (none), or finite and above 0", static_cast<double>(c.softcap));
  return check_flags(c.flags, GA_CAUSAL | GA_ROUND_BEFORE_GATE, no) &&
         check_options({c.norm_eps, c.activation, c.combination, c.pre_gate, c.norm_weight}, no);
}

// A window wider than any distance between a query and a key is no window.
int64_t bounded_window(int64_t window) { return window > 2 * kMaxExtent ? -1 : window; }

}  // namespace

bool check_struct_size(const char *name, int64_t given, int64_t known, Refusal &no) {
  if (given == known) return true;
  return no.invalid("%s.struct_size is %" PRId64 ", but this library (ABI %d) knows %" PRId64, name, given,
                    GA_ABI_VERSION, known);
}

bool check_workspace(const void *workspace, int64_t bytes, const Expected *const *tensors, int count, Refusal &no) {
  if (!workspace) return true;
  const auto address = reinterpret_cast<uintptr_t>(workspace);
  if (address % 64 != 0)
    return no.invalid("workspace is at address %#" PRIxPTR ", which is not a multiple of 64", address);
  if (bytes < 0) return no.invalid("workspace_bytes is %" PRId64 "; it must not be negative", bytes);
  const Region lent = {static_cast<const char *>(workspace), {1, 1, 1, 1}, {}, bytes};
  for (int i = 0; i < count; i++)
    if (tensors[i]->tensor.data && overlaps(lent, region_of(*tensors[i])))
      return no.invalid("workspace (at %p, %" PRId64 " bytes) overlaps %s (at %p)", workspace, bytes, tensors[i]->name,
                        tensors[i]->tensor.data);
  return true;
}

bool check_attention_numbers(const ga_attention_params &c, Refusal &no) {
  return check_numbers(c, no) && check_ragged(c, no);
}

bool check_attention_tensors(const ga_attention_params &c, const AttentionTensors &t, Purpose purpose, Problem &p,
                             Refusal &no) {
  if (!check_tensor(t.q, purpose, p.q, no) || !check_tensor(t.k, purpose, p.k, no) ||
      !check_tensor(t.v, purpose, p.v, no) || !check_tensor(t.k_scale, purpose, p.k_scale, no) ||
      !check_tensor(t.v_scale, purpose, p.v_scale, no) || !check_tensor(t.gate, purpose, p.gate, no) ||
      !check_tensor(t.norm_weight, purpose, p.norm_weight, no) || !check_tensor(t.sink, purpose, p.sink, no) ||
      !check_tensor(t.key_lengths, purpose, p.key_lengths, no) ||
      !check_tensor(t.query_lengths, purpose, p.query_lengths, no) ||
      !check_tensor(t.key_starts, purpose, p.key_starts, no) ||
      !check_tensor(t.cu_seqlens_q, purpose, p.cu_seqlens_q, no) ||
      !check_tensor(t.cu_seqlens_k, purpose, p.cu_seqlens_k, no) ||
      !check_tensor(t.block_table, purpose, p.block_table, no) || !check_tensor(t.out, purpose, p.out, no) ||
      !check_tensor(t.lse, purpose, p.lse, no))
    return false;
  p.sink.dim = 0;  // one logit per head, whatever stride was given

  p.batch = c.batch;
  p.seq_q = c.seq_q;
  p.seq_k = c.seq_k;
  p.heads_q = c.heads_q;
  p.heads_kv = c.heads_kv;
  p.group = c.heads_q / c.heads_kv;
  p.head_dim = c.head_dim;
  p.head_dim_v = c.head_dim_v;
  p.page_size = c.page_size;
  p.pages = c.pages;
  p.window_left = bounded_window(c.window_left);
  p.window_right = c.flags & GA_CAUSAL ? 0 : bounded_window(c.window_right);
  p.scale = c.scale;
  p.softcap = c.softcap;
  p.norm_eps = c.norm_eps;
  p.activation = c.activation;
  p.combination = c.combination;
  p.pre_gate = c.pre_gate;
  p.round_before_gate = c.flags & GA_ROUND_BEFORE_GATE;
  return true;
}

bool check_problem(const ga_attention_params *params, Purpose purpose, Problem &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_attention_params", params->struct_size, sizeof *params, no)) return false;
  const ga_attention_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  if (!check_attention_numbers(c, no)) return false;
  const AttentionTensors t(c, AttentionTensors::Pass::kForward);
  if (!check_attention_tensors(c, t, purpose, p, no)) return false;
  for (int i = 0; i < AttentionTensors::kInputs; i++) {
    const Expected *input = t.all[i];
    if (!check_overlap(t.out, *input, input == &t.q || input == &t.gate, no) || !check_overlap(t.lse, *input, false, no))
      return false;
  }
  return check_overlap(t.lse, t.out, false, no) &&
         check_workspace(c.workspace, c.workspace_bytes, t.all, AttentionTensors::kAll, no);
}

}  // namespace ga
