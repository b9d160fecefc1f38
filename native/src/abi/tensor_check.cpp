#include "abi/tensor_check.h"

#include <cinttypes>

namespace ga {
namespace {

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
  if (__builtin_mul_overflow(n, e.count, &n)) return no.invalid("%s has more than 2^63 elements", e.name);
  return true;
}

// A tensor without elements may have any strides that are not negative.
bool check_strides(const Expected &e, bool empty, Refusal &no) {
  if (e.count_stride < 0 || (e.count_stride == 0 && e.count > 1 && !empty))
    return no.invalid("%s_stride is %" PRId64 "; between %" PRId64 " partials it must be above 0", e.name, e.count_stride,
                      e.count);
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
  bool overflow = __builtin_mul_overflow(e.count - 1, e.count_stride, &last);
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

bool same_view(const Expected &a, const Expected &b) {
  if (a.tensor.data != b.tensor.data || a.tensor.dtype != b.tensor.dtype) return false;
  for (int i = 0; i < 4; i++)
    if (a.extent[i] != b.extent[i] || (a.extent[i] > 1 && a.tensor.stride[i] != b.tensor.stride[i])) return false;
  return true;
}

}  // namespace

Region region_of(const Expected &e) {
  const int64_t size = bytes_of(e.tensor.dtype);
  Region r;
  r.base = static_cast<const char *>(e.tensor.data);
  for (int a = 0; a < 3; a++) {
    r.extent[a] = e.extent[a];
    r.stride[a] = e.extent[a] > 1 ? e.tensor.stride[a] * size : 0;
  }
  r.extent[3] = e.count;
  r.stride[3] = e.count > 1 ? e.count_stride * size : 0;
  r.run_bytes = size * (e.tensor.stride[3] == 0 ? 1 : e.extent[3]);
  return r;
}

bool check_tensor(const Expected &e, Purpose purpose, View &view, Refusal &no) {
  const ga_tensor &t = e.tensor;
  view = {};
  if (!t.data && !e.required) return true;
  int64_t n = 0;
  if (!count_elements(e, n, no)) return false;
  if (!t.data && n > 0 && purpose == Purpose::kCall)
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

bool check_overlap(const Expected &output, const Expected &input, bool in_place_allowed, Refusal &no) {
  if (!output.tensor.data || !input.tensor.data || (in_place_allowed && same_view(output, input))) return true;
  const Region o = region_of(output), i = region_of(input);
  if (!overlaps(o, i)) return true;
  return no.invalid("%s (at %p, %" PRId64 " bytes) overlaps %s (at %p, %" PRId64 " bytes)%s", output.name,
                    output.tensor.data, o.span(), input.name, input.tensor.data, i.span(),
                    in_place_allowed ? "; in place means exactly the same view" : "");
}

bool check_flags(int32_t flags, int32_t known, Refusal &no) {
  const int32_t unknown = flags & ~known;
  if (!unknown) return true;
  return no.invalid("flags is %#x; bits %#x have no meaning", static_cast<unsigned>(flags),
                    static_cast<unsigned>(unknown));
}

bool check_options(const OutputOptions &o, Refusal &no) {
  if (!check_range("activation", o.activation, GA_SIGMOID, GA_TANH, no) ||
      !check_range("combination", o.combination, GA_MULTIPLY, GA_ADD, no) ||
      !check_range("pre_gate", o.pre_gate, GA_PRE_NONE, GA_PRE_SILU, no))
    return false;
  if (o.pre_gate == GA_PRE_RMS_NORM && !(is_finite(o.norm_eps) && o.norm_eps >= 0))
    return no.invalid("norm_eps is %g; it must be finite and not negative", static_cast<double>(o.norm_eps));
  if (o.norm_weight.data && o.pre_gate != GA_PRE_RMS_NORM)
    return no.invalid("norm_weight is given, but pre_gate is %d, not GA_PRE_RMS_NORM (%d)", o.pre_gate, GA_PRE_RMS_NORM);
  return true;
}

bool is_finite(float x) { return x - x == 0; }

}  // namespace ga
