#include "abi/validate.h"

#include <cinttypes>
#include <cmath>
#include <initializer_list>

#include "abi/overlap.h"
#include "abi/refusal.h"

namespace ga {
namespace {

constexpr int64_t kMaxExtent = int64_t{1} << 48;  // of batch and sequence axes: sums and products of two stay in range
constexpr int kFloats = 1 << GA_F32 | 1 << GA_BF16 | 1 << GA_F16;

const char *dtype_name(ga_dtype dtype) {
  switch (dtype) {
    case GA_F32: return "f32";
    case GA_BF16: return "bf16";
    case GA_F16: return "f16";
    case GA_I32: return "i32";
    default: return "unknown";
  }
}

int32_t bytes_of(ga_dtype dtype) { return dtype == GA_F32 || dtype == GA_I32 ? 4 : 2; }

// What a tensor of the call must look like. Axes that a tensor does not have get extent 1.
struct Expected {
  const char *name;
  const ga_tensor &tensor;
  int64_t extent[4];
  int types;               // bit per ga_dtype
  bool shared_axes = false;  // stride 0 is allowed
  bool output = false;
  bool required = true;
};

constexpr const char *kAxis[4] = {"batch", "sequence", "head", "dim"};

int64_t elements(const Expected &e) {
  int64_t n = 1;
  for (const int64_t extent : e.extent) {
    if (extent == 0) return 0;
    if (__builtin_mul_overflow(n, extent, &n)) refuse(GA_INVALID_ARGUMENT, "%s has more than 2^63 elements", e.name);
  }
  return n;
}

void check_strides(const Expected &e) {
  for (int a = 0; a < 4; a++) {
    const int64_t stride = e.tensor.stride[a];
    if (stride < 0) refuse(GA_INVALID_ARGUMENT, "%s has stride %" PRId64 " on its %s axis; strides must not be negative", e.name, stride, kAxis[a]);
    if (e.extent[a] <= 1) continue;
    if (a == 3 && stride != 1 && !(stride == 0 && e.shared_axes))
      refuse(GA_INVALID_ARGUMENT, "%s has stride %" PRId64 " on its dim axis; it must be contiguous (1%s)", e.name, stride, e.shared_axes ? ", or 0 when shared" : "");
    if (stride == 0 && !e.shared_axes)
      refuse(GA_INVALID_ARGUMENT, "%s has stride 0 on its %s axis of extent %" PRId64 "; only gate and norm_weight may be shared along an axis", e.name, kAxis[a], e.extent[a]);
  }
}

// Bytes from the first to the end of the last element.
int64_t span_bytes(const Expected &e) {
  int64_t last = 0;
  bool overflow = false;
  for (int a = 0; a < 4; a++) {
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(e.extent[a] - 1, e.tensor.stride[a], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  int64_t bytes = 0;
  overflow |= __builtin_add_overflow(last, 1, &last) || __builtin_mul_overflow(last, int64_t{bytes_of(e.tensor.dtype)}, &bytes);
  if (overflow) refuse(GA_INVALID_ARGUMENT, "the extents and strides of %s reach beyond 2^63 bytes", e.name);
  return bytes;
}

Region region_of(const Expected &e) {
  const int64_t size = bytes_of(e.tensor.dtype);
  Region r;
  r.base = static_cast<const char *>(e.tensor.data);
  for (int a = 0; a < 3; a++) {
    r.extent[a] = e.extent[a];
    r.stride[a] = e.extent[a] > 1 ? e.tensor.stride[a] * size : 0;
  }
  r.run_bytes = elements(e) == 0 ? 0 : size * (e.tensor.stride[3] == 0 ? 1 : e.extent[3]);
  return r;
}

// An absent tensor gives an empty view.
View checked_view(const Expected &e, Purpose purpose) {
  const ga_tensor &t = e.tensor;
  View view;
  if (!t.data) {
    const int64_t n = elements(e);
    if (e.required && n > 0 && purpose == Purpose::kForward) refuse(GA_INVALID_ARGUMENT, "%s is NULL, but %" PRId64 " elements are needed", e.name, n);
    if (e.required && (t.dtype < 0 || t.dtype > GA_I32 || !(e.types >> t.dtype & 1)))
      refuse(GA_INVALID_ARGUMENT, "%s has dtype %d (%s), which it cannot have", e.name, t.dtype, dtype_name(t.dtype));
    view.dtype = t.dtype;
    view.element_bytes = bytes_of(t.dtype);
    return view;
  }
  if (t.reserved != 0) refuse(GA_INVALID_ARGUMENT, "%s.reserved is %d; it must be 0", e.name, t.reserved);
  if (t.dtype < 0 || t.dtype > GA_I32 || !(e.types >> t.dtype & 1))
    refuse(GA_INVALID_ARGUMENT, "%s has dtype %d (%s), which it cannot have", e.name, t.dtype, dtype_name(t.dtype));
  check_strides(e);
  if (elements(e) > 0) {
    const int64_t needed = span_bytes(e);
    if (t.bytes < needed) refuse(GA_INVALID_ARGUMENT, "%s has %" PRId64 " bytes, but its shape and strides need %" PRId64, e.name, t.bytes, needed);
    const auto address = reinterpret_cast<uintptr_t>(t.data);
    if (address % static_cast<uintptr_t>(bytes_of(t.dtype)) != 0)
      refuse(GA_INVALID_ARGUMENT, "%s is at address %#" PRIxPTR ", which is not a multiple of its element size %d", e.name, address, bytes_of(t.dtype));
    if (e.output && overlaps_itself(region_of(e))) refuse(GA_INVALID_ARGUMENT, "the strides of %s make elements of it overlap", e.name);
  }
  view.data = static_cast<char *>(t.data);
  view.batch = t.stride[0];
  view.sequence = t.stride[1];
  view.head = t.stride[2];
  view.dim = t.stride[3];
  view.dtype = t.dtype;
  view.element_bytes = bytes_of(t.dtype);
  return view;
}

template <class T>
void check_range(const char *name, T value, T lo, T hi) {
  if (value < lo || value > hi)
    refuse(GA_INVALID_ARGUMENT, "%s is %" PRId64 "; it must be from %" PRId64 " to %" PRId64, name, int64_t{value}, int64_t{lo}, int64_t{hi});
}

void check_head_dim(const char *name, int32_t value) {
  if (value < 8 || value > 512 || value % 8 != 0) refuse(GA_INVALID_ARGUMENT, "%s is %d; it must be a multiple of 8 from 8 to 512", name, value);
}

void check_numbers(const ga_attention_params &c) {
  check_range("batch", c.batch, int64_t{0}, kMaxExtent);
  check_range("seq_q", c.seq_q, int64_t{0}, kMaxExtent);
  check_range("seq_k", c.seq_k, int64_t{0}, kMaxExtent);
  check_range("heads_kv", c.heads_kv, 1, 1 << 20);
  check_range("heads_q", c.heads_q, 1, 1 << 20);
  if (c.heads_q % c.heads_kv != 0) refuse(GA_INVALID_ARGUMENT, "heads_q is %d, which is not a multiple of heads_kv %d", c.heads_q, c.heads_kv);
  check_head_dim("head_dim", c.head_dim);
  check_head_dim("head_dim_v", c.head_dim_v);
  check_range("window_left", c.window_left, int64_t{-1}, INT64_MAX);
  check_range("window_right", c.window_right, int64_t{-1}, INT64_MAX);
  if (!std::isfinite(c.scale)) refuse(GA_INVALID_ARGUMENT, "scale is %f; it must be finite (usually 1 / sqrt(head_dim))", static_cast<double>(c.scale));
  check_range("activation", c.activation, GA_SIGMOID + 0, GA_TANH + 0);
  check_range("combination", c.combination, GA_MULTIPLY + 0, GA_ADD + 0);
  check_range("pre_gate", c.pre_gate, GA_PRE_NONE + 0, GA_PRE_SILU + 0);
  if (c.pre_gate == GA_PRE_RMS_NORM && !(std::isfinite(c.norm_eps) && c.norm_eps >= 0))
    refuse(GA_INVALID_ARGUMENT, "norm_eps is %f; it must be finite and not negative", static_cast<double>(c.norm_eps));
  const int32_t unknown = c.flags & ~(GA_CAUSAL | GA_ROUND_BEFORE_GATE);
  if (unknown) refuse(GA_INVALID_ARGUMENT, "flags is %#x; bits %#x have no meaning", static_cast<unsigned>(c.flags), static_cast<unsigned>(unknown));
}

// A window wider than any distance between a query and a key is no window.
int64_t bounded_window(int64_t window) { return window > 2 * kMaxExtent ? -1 : window; }

bool same_view(const Expected &a, const Expected &b) {
  if (a.tensor.data != b.tensor.data || a.tensor.dtype != b.tensor.dtype) return false;
  for (int i = 0; i < 4; i++)
    if (a.extent[i] != b.extent[i] || (a.extent[i] > 1 && a.tensor.stride[i] != b.tensor.stride[i])) return false;
  return true;
}

void check_overlap(const Expected &output, const Expected &input, bool in_place_allowed) {
  if (!output.tensor.data || !input.tensor.data) return;
  if (in_place_allowed && same_view(output, input)) return;
  if (overlaps(region_of(output), region_of(input)))
    refuse(GA_INVALID_ARGUMENT, "%s (at %p, %" PRId64 " bytes) overlaps %s (at %p, %" PRId64 " bytes)%s", output.name, output.tensor.data,
           region_of(output).span(), input.name, input.tensor.data, region_of(input).span(),
           in_place_allowed ? "; in place means exactly the same view" : "");
}

void check_workspace(const ga_attention_params &c, const Expected *tensors, int count) {
  if (!c.workspace) return;
  const auto address = reinterpret_cast<uintptr_t>(c.workspace);
  if (address % 64 != 0) refuse(GA_INVALID_ARGUMENT, "workspace is at address %#" PRIxPTR ", which is not a multiple of 64", address);
  if (c.workspace_bytes < 0) refuse(GA_INVALID_ARGUMENT, "workspace_bytes is %" PRId64 "; it must not be negative", c.workspace_bytes);
  Region lent;
  lent.base = static_cast<const char *>(c.workspace);
  lent.extent[0] = lent.extent[1] = lent.extent[2] = 1;
  lent.run_bytes = c.workspace_bytes;
  for (int i = 0; i < count; i++)
    if (tensors[i].tensor.data && overlaps(lent, region_of(tensors[i])))
      refuse(GA_INVALID_ARGUMENT, "workspace (at %p, %" PRId64 " bytes) overlaps %s (at %p)", c.workspace, c.workspace_bytes, tensors[i].name, tensors[i].tensor.data);
}

}  // namespace

void check_struct_size(const char *name, int64_t given, int64_t known) {
  if (given != known) refuse(GA_INVALID_ARGUMENT, "%s.struct_size is %" PRId64 ", but this library (ABI %d) knows %" PRId64, name, given, GA_ABI_VERSION, known);
}

Problem checked_problem(const ga_attention_params *params, Purpose purpose) {
  if (!params) refuse(GA_INVALID_ARGUMENT, "params is NULL");
  check_struct_size("ga_attention_params", params->struct_size, sizeof *params);
  const ga_attention_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  check_numbers(c);

  const int64_t dv = c.head_dim_v;
  const Expected q = {"q", c.q, {c.batch, c.seq_q, c.heads_q, c.head_dim}, kFloats};
  const int same = 1 << (c.q.dtype & 31);
  const Expected k = {"k", c.k, {c.batch, c.seq_k, c.heads_kv, c.head_dim}, same};
  const Expected v = {"v", c.v, {c.batch, c.seq_k, c.heads_kv, dv}, same};
  const Expected gate = {"gate", c.gate, {c.batch, c.seq_q, c.heads_q, dv}, kFloats, true, false, false};
  const Expected weight = {"norm_weight", c.norm_weight, {1, 1, c.heads_q, dv}, kFloats, true, false, false};
  const Expected lengths = {"key_lengths", c.key_lengths, {c.batch, 1, 1, 1}, 1 << GA_I32, false, false, false};
  const Expected out = {"out", c.out, {c.batch, c.seq_q, c.heads_q, dv}, same, false, true};
  const Expected lse = {"lse", c.lse, {c.batch, c.seq_q, c.heads_q, 1}, 1 << GA_F32, false, true, false};
  if (c.norm_weight.data && c.pre_gate != GA_PRE_RMS_NORM)
    refuse(GA_INVALID_ARGUMENT, "norm_weight is given, but pre_gate is %d, not GA_PRE_RMS_NORM (%d)", c.pre_gate, GA_PRE_RMS_NORM);

  Problem p{};
  p.batch = c.batch;
  p.seq_q = c.seq_q;
  p.seq_k = c.seq_k;
  p.heads_q = c.heads_q;
  p.heads_kv = c.heads_kv;
  p.group = c.heads_q / c.heads_kv;
  p.head_dim = c.head_dim;
  p.head_dim_v = c.head_dim_v;
  p.window_left = bounded_window(c.window_left);
  p.window_right = c.flags & GA_CAUSAL ? 0 : bounded_window(c.window_right);
  p.scale = c.scale;
  p.norm_eps = c.norm_eps;
  p.activation = c.activation;
  p.combination = c.combination;
  p.pre_gate = c.pre_gate;
  p.round_before_gate = c.flags & GA_ROUND_BEFORE_GATE;
  p.q = checked_view(q, purpose);
  p.k = checked_view(k, purpose);
  p.v = checked_view(v, purpose);
  p.gate = checked_view(gate, purpose);
  p.norm_weight = checked_view(weight, purpose);
  p.key_lengths = checked_view(lengths, purpose);
  p.out = checked_view(out, purpose);
  p.lse = checked_view(lse, purpose);

  for (const Expected *input : {&q, &k, &v, &gate, &weight, &lengths}) {
    check_overlap(out, *input, input == &q || input == &gate);
    check_overlap(lse, *input, false);
  }
  check_overlap(lse, out, false);
  const Expected all[] = {q, k, v, gate, weight, lengths, out, lse};
  check_workspace(c, all, 8);
  return p;
}

void copy_key_lengths(Problem &p, int32_t *to) {
  if (!p.key_lengths.data) return;
  for (int64_t b = 0; b < p.batch; b++) {
    const int32_t length = __atomic_load_n(reinterpret_cast<const int32_t *>(p.key_lengths.at(b, 0, 0)), __ATOMIC_RELAXED);
    if (length < 0 || length > p.seq_k)
      refuse(GA_INVALID_ARGUMENT, "key_lengths[%" PRId64 "] is %d; it must be from 0 to seq_k %" PRId64, b, length, p.seq_k);
    to[b] = length;
  }
  p.key_lengths.data = reinterpret_cast<char *>(to);
  p.key_lengths.batch = 1;
}

}  // namespace ga
