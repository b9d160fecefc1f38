#include "abi/validate.h"

#include <cinttypes>

#include "abi/overlap.h"

namespace ga {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 48;  // of batch and sequence axes: sums of a few stay in range
constexpr int kFloats = 1 << GA_F32 | 1 << GA_BF16 | 1 << GA_F16;

bool is_finite(float x) { return x - x == 0; }

const char *dtype_name(ga_dtype dtype) {
  switch (dtype) {
    case GA_F32: return "f32";
    case GA_BF16: return "bf16";
    case GA_F16: return "f16";
    case GA_I32: return "i32";
    case GA_I8: return "i8";
    default: return "unknown";
  }
}

int32_t bytes_of(ga_dtype dtype) { return dtype == GA_I8 ? 1 : dtype == GA_F32 || dtype == GA_I32 ? 4 : 2; }

// What a tensor of the call must look like. Axes that a tensor does not have get extent 1.
struct Expected {
  const char *name;
  const ga_tensor &tensor;
  int64_t extent[4];
  int types;              // bit per ga_dtype
  const char *type_rule;  // the same in words
  bool shared_axes;       // stride 0 is allowed
  bool output;
  bool required;
};

constexpr const char *kAxis[4] = {"batch", "sequence", "head", "dim"};

bool count_elements(const Expected &e, int64_t &n, Refusal &no) {
  n = 1;
  for (const int64_t extent : e.extent)
    if (extent == 0) {
      n = 0;
      return true;
    }
  for (const int64_t extent : e.extent)
    if (__builtin_mul_overflow(n, extent, &n)) return no.invalid("%s has more than 2^63 elements", e.name);
  return true;
}

// A tensor without elements may have any strides that are not negative.
bool check_strides(const Expected &e, bool empty, Refusal &no) {
  for (int a = 0; a < 4; a++) {
    const int64_t stride = e.tensor.stride[a];
    if (stride < 0)
      return no.invalid("%s has stride %" PRId64 " on its %s axis; strides must not be negative", e.name, stride,
                        kAxis[a]);
    if (e.extent[a] <= 1 || empty) continue;
    if (a == 3 && stride != 1 && !(stride == 0 && e.shared_axes))
      return no.invalid("%s has stride %" PRId64 " on its dim axis; it must be contiguous (1%s)", e.name, stride,
                        e.shared_axes ? ", or 0 when shared" : "");
    if (stride == 0 && !e.shared_axes)
      return no.invalid("%s has stride 0 on its %s axis of extent %" PRId64
                        "; only gate, norm_weight and sink may be shared along an axis",
                        e.name, kAxis[a], e.extent[a]);
  }
  return true;
}

// Bytes from the first to the end of the last element must fit what the caller lends.
bool check_span(const Expected &e, Refusal &no) {
  int64_t last = 0, bytes = 0;
  bool overflow = false;
  for (int a = 0; a < 4; a++) {
    int64_t reach = 0;
    overflow |=
        __builtin_mul_overflow(e.extent[a] - 1, e.tensor.stride[a], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  overflow |=
      __builtin_add_overflow(last, 1, &last) || __builtin_mul_overflow(last, int64_t{bytes_of(e.tensor.dtype)}, &bytes);
  if (overflow) return no.invalid("the extents and strides of %s reach beyond 2^63 bytes", e.name);
  if (e.tensor.bytes < bytes)
    return no.invalid("%s has %" PRId64 " bytes, but its shape and strides need %" PRId64, e.name, e.tensor.bytes, bytes);
  return true;
}

// Of a tensor that passed check_tensor.
Region region_of(const Expected &e) {
  const int64_t size = bytes_of(e.tensor.dtype);
  Region r;
  r.base = static_cast<const char *>(e.tensor.data);
  for (int a = 0; a < 3; a++) {
    r.extent[a] = e.extent[a];
    r.stride[a] = e.extent[a] > 1 ? e.tensor.stride[a] * size : 0;
  }
  r.run_bytes = size * (e.tensor.stride[3] == 0 ? 1 : e.extent[3]);
  return r;
}

bool check_tensor(const Expected &e, Purpose purpose, View &view, Refusal &no) {
  const ga_tensor &t = e.tensor;
  view = {};
  if (!t.data && !e.required) return true;
  int64_t n = 0;
  if (!count_elements(e, n, no)) return false;
  if (!t.data && n > 0 && purpose == Purpose::kForward)
    return no.invalid("%s is NULL, but %" PRId64 " elements are needed", e.name, n);
  if (t.dtype < 0 || t.dtype > GA_I8 || !(e.types >> t.dtype & 1))
    return no.invalid("%s has dtype %d (%s); it must be %s", e.name, t.dtype, dtype_name(t.dtype), e.type_rule);
  view.dtype = t.dtype;
  view.element_bytes = bytes_of(t.dtype);
  if (!t.data) return true;
  if (t.reserved != 0) return no.invalid("%s.reserved is %d; it must be 0", e.name, t.reserved);
  if (!check_strides(e, n == 0, no)) return false;
  if (n > 0) {
    if (!check_span(e, no)) return false;
    const auto address = reinterpret_cast<uintptr_t>(t.data);
    if (address % static_cast<uintptr_t>(view.element_bytes) != 0)
      return no.invalid("%s is at address %#" PRIxPTR ", which is not a multiple of its element size %d", e.name, address,
                        view.element_bytes);
    if (e.output && overlaps_itself(region_of(e)))
      return no.invalid("the strides of %s make elements of it overlap", e.name);
  }
  view.data = static_cast<char *>(t.data);
  view.batch = t.stride[0];
  view.sequence = t.stride[1];
  view.head = t.stride[2];
  view.dim = t.stride[3];
  return true;
}

bool check_range(const char *name, int64_t value, int64_t lo, int64_t hi, Refusal &no) {
  if (value >= lo && value <= hi) return true;
  return no.invalid("%s is %" PRId64 "; it must be from %" PRId64 " to %" PRId64, name, value, lo, hi);
}

bool check_head_dim(const char *name, int32_t value, Refusal &no) {
  if (value >= 8 && value <= 512 && value % 8 == 0) return true;
  return no.invalid("%s is %d; it must be a multiple of 8 from 8 to 512", name, value);
}

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
  if (!check_range("activation", c.activation, GA_SIGMOID, GA_TANH, no) ||
      !check_range("combination", c.combination, GA_MULTIPLY, GA_ADD, no) ||
      !check_range("pre_gate", c.pre_gate, GA_PRE_NONE, GA_PRE_SILU, no))
    return false;
  if (c.pre_gate == GA_PRE_RMS_NORM && !(is_finite(c.norm_eps) && c.norm_eps >= 0))
    return no.invalid("norm_eps is %g; it must be finite and not negative", static_cast<double>(c.norm_eps));
  const int32_t unknown = c.flags & ~(GA_CAUSAL | GA_ROUND_BEFORE_GATE);
  if (unknown)
    return no.invalid("flags is %#x; bits %#x have no meaning", static_cast<unsigned>(c.flags),
                      static_cast<unsigned>(unknown));
  if (c.norm_weight.data && c.pre_gate != GA_PRE_RMS_NORM)
    return no.invalid("norm_weight is given, but pre_gate is %d, not GA_PRE_RMS_NORM (%d)", c.pre_gate, GA_PRE_RMS_NORM);
  return true;
}

// A window wider than any distance between a query and a key is no window.
int64_t bounded_window(int64_t window) { return window > 2 * kMaxExtent ? -1 : window; }

bool same_view(const Expected &a, const Expected &b) {
  if (a.tensor.data != b.tensor.data || a.tensor.dtype != b.tensor.dtype) return false;
  for (int i = 0; i < 4; i++)
    if (a.extent[i] != b.extent[i] || (a.extent[i] > 1 && a.tensor.stride[i] != b.tensor.stride[i])) return false;
  return true;
}

bool check_overlap(const Expected &output, const Expected &input, bool in_place_allowed, Refusal &no) {
  if (!output.tensor.data || !input.tensor.data || (in_place_allowed && same_view(output, input))) return true;
  const Region o = region_of(output), i = region_of(input);
  if (!overlaps(o, i)) return true;
  return no.invalid("%s (at %p, %" PRId64 " bytes) overlaps %s (at %p, %" PRId64 " bytes)%s", output.name,
                    output.tensor.data, o.span(), input.name, input.tensor.data, i.span(),
                    in_place_allowed ? "; in place means exactly the same view" : "");
}

bool check_workspace(const ga_attention_params &c, const Expected *const *tensors, int count, Refusal &no) {
  if (!c.workspace) return true;
  const auto address = reinterpret_cast<uintptr_t>(c.workspace);
  if (address % 64 != 0)
    return no.invalid("workspace is at address %#" PRIxPTR ", which is not a multiple of 64", address);
  if (c.workspace_bytes < 0)
    return no.invalid("workspace_bytes is %" PRId64 "; it must not be negative", c.workspace_bytes);
  const Region lent = {static_cast<const char *>(c.workspace), {1, 1, 1}, {}, c.workspace_bytes};
  for (int i = 0; i < count; i++)
    if (tensors[i]->tensor.data && overlaps(lent, region_of(*tensors[i])))
      return no.invalid("workspace (at %p, %" PRId64 " bytes) overlaps %s (at %p)", c.workspace, c.workspace_bytes,
                        tensors[i]->name, tensors[i]->tensor.data);
  return true;
}

}  // namespace

bool check_struct_size(const char *name, int64_t given, int64_t known, Refusal &no) {
  if (given == known) return true;
  return no.invalid("%s.struct_size is %" PRId64 ", but this library (ABI %d) knows %" PRId64, name, given,
                    GA_ABI_VERSION, known);
}

bool check_problem(const ga_attention_params *params, Purpose purpose, Problem &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_attention_params", params->struct_size, sizeof *params, no)) return false;
  const ga_attention_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  if (!check_numbers(c, no) || !check_ragged(c, no)) return false;

  const int64_t dv = c.head_dim_v;
  const int like_q = c.q.dtype >= 0 && c.q.dtype <= GA_F16 ? 1 << c.q.dtype : 0;
  const char *const rule = c.q.dtype == GA_F32    ? "f32, the type of q"
                           : c.q.dtype == GA_BF16 ? "bf16, the type of q"
                                                  : "f16, the type of q";
  const char *const floats = "f32, bf16 or f16";
  const int key_types = c.q.dtype == GA_F32 ? kFloats | 1 << GA_I8 : like_q | 1 << GA_I8;
  const char *const key_rule = c.q.dtype == GA_F32    ? "f32, bf16, f16 or i8 where q is f32"
                               : c.q.dtype == GA_BF16 ? "bf16, the type of q, or i8"
                                                      : "f16, the type of q, or i8";
  constexpr const char *value_rules[] = {"f32, the type of k", "bf16, the type of k", "f16, the type of k",
                                         "i32, the type of k", "i8, the type of k"};
  const int value_types = c.k.dtype >= 0 && c.k.dtype <= GA_I8 ? 1 << c.k.dtype : 0;
  const int ints = 1 << GA_I32;
  const bool quantized = c.k.dtype == GA_I8;
  const int64_t entries = c.cu_seqlens_q.data ? 1 : c.batch;  // of q, gate, out and lse
  const int64_t key_entries = c.block_table.data ? c.pages : c.cu_seqlens_k.data ? 1 : c.batch;
  const int64_t keys = c.block_table.data ? c.page_size : c.seq_k;  // per entry
  const int64_t table = c.block_table.data ? ceil_div(c.seq_k, c.page_size) : 1;
  const Expected q = {"q", c.q, {entries, c.seq_q, c.heads_q, c.head_dim}, kFloats, floats, false, false, true};
  const Expected k = {"k", c.k, {key_entries, keys, c.heads_kv, c.head_dim}, key_types, key_rule, false, false, true};
  const Expected v = {"v",
                      c.v,
                      {key_entries, keys, c.heads_kv, dv},
                      value_types,
                      value_rules[c.k.dtype < 0 || c.k.dtype > GA_I8 ? GA_I8 : c.k.dtype],
                      false,
                      false,
                      true};
  const Expected k_scale = {"k_scale", c.k_scale, {key_entries, keys, c.heads_kv, 1}, 1 << GA_F32, "f32", false,
                            false,     quantized};
  const Expected v_scale = {"v_scale", c.v_scale, {key_entries, keys, c.heads_kv, 1}, 1 << GA_F32, "f32", false,
                            false,     quantized};
  const Expected gate = {"gate", c.gate, {entries, c.seq_q, c.heads_q, dv}, kFloats, floats, true, false, false};
  const Expected weight = {"norm_weight", c.norm_weight, {1, 1, c.heads_q, dv}, kFloats, floats, true, false, false};
  const Expected sink = {"sink", c.sink, {1, 1, c.heads_q, 1}, kFloats, floats, true, false, false};
  const Expected lengths = {"key_lengths", c.key_lengths, {c.batch, 1, 1, 1}, ints, "i32", false, false, false};
  const Expected queries = {"query_lengths", c.query_lengths, {c.batch, 1, 1, 1}, ints, "i32", false, false, false};
  const Expected starts = {"key_starts", c.key_starts, {c.batch, 1, 1, 1}, ints, "i32", false, false, false};
  const Expected cu_q = {"cu_seqlens_q", c.cu_seqlens_q, {c.batch + 1, 1, 1, 1}, ints, "i32", false, false, false};
  const Expected cu_k = {"cu_seqlens_k", c.cu_seqlens_k, {c.batch + 1, 1, 1, 1}, ints, "i32", false, false, false};
  const Expected pages = {"block_table", c.block_table, {c.batch, table, 1, 1}, ints, "i32", false, false, false};
  const Expected out = {"out", c.out, {entries, c.seq_q, c.heads_q, dv}, like_q, rule, false, true, true};
  const Expected lse = {"lse", c.lse, {entries, c.seq_q, c.heads_q, 1}, 1 << GA_F32, "f32", false, true, false};
  if (!check_tensor(q, purpose, p.q, no) || !check_tensor(k, purpose, p.k, no) || !check_tensor(v, purpose, p.v, no) ||
      !check_tensor(k_scale, purpose, p.k_scale, no) || !check_tensor(v_scale, purpose, p.v_scale, no) ||
      !check_tensor(gate, purpose, p.gate, no) || !check_tensor(weight, purpose, p.norm_weight, no) ||
      !check_tensor(sink, purpose, p.sink, no) || !check_tensor(lengths, purpose, p.key_lengths, no) ||
      !check_tensor(queries, purpose, p.query_lengths, no) || !check_tensor(starts, purpose, p.key_starts, no) ||
      !check_tensor(cu_q, purpose, p.cu_seqlens_q, no) || !check_tensor(cu_k, purpose, p.cu_seqlens_k, no) ||
      !check_tensor(pages, purpose, p.block_table, no) || !check_tensor(out, purpose, p.out, no) ||
      !check_tensor(lse, purpose, p.lse, no))
    return false;
  p.sink.dim = 0;  // one logit per head, whatever stride was given

  const Expected *const all[] = {&q,       &k,       &v,      &k_scale, &v_scale, &gate,  &weight, &sink,
                                 &lengths, &queries, &starts, &cu_q,    &cu_k,    &pages, &out,    &lse};
  for (const Expected *input : all) {
    if (input == &out) break;
    if (!check_overlap(out, *input, input == &q || input == &gate, no) || !check_overlap(lse, *input, false, no))
      return false;
  }
  if (!check_overlap(lse, out, false, no) || !check_workspace(c, all, 16, no)) return false;

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

}  // namespace ga
