#include "abi/validate_prologue.h"

#include <cinttypes>

#include "abi/tensor_check.h"
#include "abi/validate.h"

namespace ga {
namespace {

constexpr int kF32 = 1 << GA_F32, kI32 = 1 << GA_I32;
constexpr int kPartFlags = GA_PART_NORM | GA_PART_WEIGHT_PLUS_ONE | GA_PART_ROTATE;

int only(ga_dtype dtype) { return dtype >= 0 && dtype <= GA_F16 ? 1 << dtype : 0; }

const char *like_in(ga_dtype dtype) {
  return dtype == GA_F32 ? "f32, the type of in" : dtype == GA_BF16 ? "bf16, the type of in" : "f16, the type of in";
}

// The names of a part's tensors, for messages.
struct PartNames {
  const char *in, *gate, *norm_weight, *out, *d_out, *d_in, *d_gate, *d_norm_weight;
  const char *heads, *dim, *group, *flags, *activation, *norm_eps, *in_group_stride, *out_group_stride,
      *d_out_group_stride, *d_in_group_stride;
};
#define GA_PART_NAMES(x)    \
  {x ".in",                 \
   x ".gate",               \
   x ".norm_weight",        \
   x ".out",                \
   x ".d_out",              \
   x ".d_in",               \
   x ".d_gate",             \
   x ".d_norm_weight",      \
   x ".heads",              \
   x ".dim",                \
   x ".group",              \
   x ".flags",              \
   x ".activation",         \
   x ".norm_eps",           \
   x ".in_group_stride",    \
   x ".out_group_stride",   \
   x ".d_out_group_stride", \
   x ".d_in_group_stride"}
constexpr PartNames kNames[Prologue::kParts] = {GA_PART_NAMES("q"), GA_PART_NAMES("k"), GA_PART_NAMES("v")};
constexpr PartNames kEpilogueNames = {"in",
                                      "gate",
                                      "norm_weight",
                                      "out",
                                      "d_out",
                                      "d_in",
                                      "d_gate",
                                      "d_norm_weight",
                                      "heads",
                                      "width",
                                      "group",
                                      "flags",
                                      "activation",
                                      "norm_eps",
                                      "in_group_stride",
                                      "out_group_stride",
                                      "d_out_group_stride",
                                      "d_in_group_stride"};

// Tensors of a call, each of which must lie apart from the outputs.
class Operands {
 public:
  explicit Operands(Refusal &no) : no_(no) {}

  // Checks one; `e` must live as long as this.
  bool add(const Expected &e, View &view) {
    if (!check_tensor(e, Purpose::kCall, view, no_)) return false;
    if (view.data) all_[count_++] = &e;
    return true;
  }

  // Outputs that may be exactly the same view as an input: out as in, d_in as d_out, an epilogue's out as gate or residual.
  void allow_in_place(const Expected &output, const Expected &input) {
    if (output.count == input.count && (output.count == 1 || output.count_stride == input.count_stride))
      pair_[pairs_++] = {&output, &input};
  }

  bool check_apart() const {
    for (int o = 0; o < count_; o++)
      for (int i = 0; i < count_ && all_[o]->output; i++) {
        const bool done = i == o || (all_[i]->output && i < o);
        if (!done && !check_overlap(*all_[o], *all_[i], in_place(all_[o], all_[i]), no_)) return false;
      }
    return true;
  }

 private:
  bool in_place(const Expected *output, const Expected *input) const {
    for (int n = 0; n < pairs_; n++)
      if (pair_[n].output == output && pair_[n].input == input) return true;
    return false;
  }

  static constexpr int kMost = 32;
  struct Pair {
    const Expected *output, *input;
  };
  Refusal &no_;
  const Expected *all_[kMost];
  Pair pair_[8];
  int count_ = 0, pairs_ = 0;
};

// The size of a call.
struct Extent {
  int64_t batch, seq, pages, page_size;
};

// What the tensors of a part must look like.
struct PartTensors {
  PartTensors(const PartNames &n, const ga_prologue_part &c, const ga_tensor &residual_given, const Extent &e,
              bool cached, bool backward)
      : groups(c.group > 0 ? c.heads / c.group : 1),
        in{n.in,
           c.in,
           {e.batch, e.seq, c.heads / groups, c.dim},
           kFloats,
           kFloatsRule,
           false,
           false,
           true,
           groups,
           c.in_group_stride},
        gate{n.gate, c.gate, {e.batch, e.seq, c.heads, c.dim}, kFloats, kFloatsRule, true, false, false},
        norm_weight{n.norm_weight, c.norm_weight, {1, 1, c.heads, c.dim}, kFloats, kFloatsRule, true, false, false},
        residual{"residual", residual_given, {e.batch, e.seq, c.heads, c.dim}, kFloats, kFloatsRule, false, false, false},
        out{n.out,
            c.out,
            {cached ? e.pages : e.batch, cached ? e.page_size : e.seq, c.heads / groups, c.dim},
            only(c.in.dtype),
            like_in(c.in.dtype),
            false,
            true,
            !backward,
            groups,
            c.out_group_stride} {}

  const int64_t groups;
  const Expected in, gate, norm_weight, residual, out;
};

struct GradientTensors {
  GradientTensors(const PartNames &n, const ga_prologue_part &c, const ga_prologue_gradient &g, const RowPart &part,
                  const Extent &e)
      : groups(c.group > 0 ? c.heads / c.group : 1),
        d_out{n.d_out,
              g.d_out,
              {e.batch, e.seq, c.heads / groups, c.dim},
              only(c.in.dtype),
              like_in(c.in.dtype),
              false,
              false,
              true,
              groups,
              g.d_out_group_stride},
        d_in{n.d_in,
             g.d_in,
             {e.batch, e.seq, c.heads / groups, c.dim},
             only(c.in.dtype) | kF32,
             c.in.dtype == GA_F32 ? "f32" : "f32, or the type of in",
             false,
             true,
             false,
             groups,
             g.d_in_group_stride},
        d_gate{n.d_gate,
               g.d_gate,
               {part.gate_shared[0] ? 1 : e.batch, part.gate_shared[1] ? 1 : e.seq, part.gate_heads(), part.gate_dim()},
               kFloats,
               kFloatsRule,
               false,
               true,
               false},
        d_norm_weight{n.d_norm_weight,
                      g.d_norm_weight,
                      {1, 1, part.weight_shared[0] ? 1 : c.heads, part.weight_shared[1] ? 1 : c.dim},
                      kFloats,
                      kFloatsRule,
                      false,
                      true,
                      false} {}

  const int64_t groups;
  const Expected d_out, d_in, d_gate, d_norm_weight;
};

bool check_group_stride(const char *name, const ga_prologue_part &c, int64_t stride, Refusal &no) {
  if (c.group == 0 && stride != 0)
    return no.invalid("%s is %" PRId64 ", but group is 0; it must be 0 then", name, stride);
  if (c.group > 0 && c.heads > c.group) return check_range(name, stride, 1, INT64_MAX, no);
  return c.group == 0 || check_range(name, stride, 0, INT64_MAX, no);
}

bool check_numbers(const PartNames &n, const ga_prologue_part &c, bool backward, Refusal &no) {
  if (!check_range(n.heads, c.heads, 1, 1 << 20, no) || !check_head_dim(n.dim, c.dim, no)) return false;
  if (c.group < 0 || (c.group > 0 && c.heads % c.group != 0))
    return no.invalid("%s is %d, which does not divide %s %d", n.group, c.group, n.heads, c.heads);
  if (!check_group_stride(n.in_group_stride, c, c.in_group_stride, no) ||
      (!backward && !check_group_stride(n.out_group_stride, c, c.out_group_stride, no)))
    return false;
  if (c.flags & ~kPartFlags)
    return no.invalid("%s is %#x; bits %#x have no meaning", n.flags, static_cast<unsigned>(c.flags),
                      static_cast<unsigned>(c.flags & ~kPartFlags));
  if (!check_range(n.activation, c.activation, GA_SIGMOID, GA_TANH, no)) return false;
  const bool norm = c.flags & GA_PART_NORM;
  if (norm && !(is_finite(c.norm_eps) && c.norm_eps >= 0))
    return no.invalid("%s is %g; it must be finite and not negative", n.norm_eps, static_cast<double>(c.norm_eps));
  if (c.norm_weight.data && !norm)
    return no.invalid("%s is given, but %s is %#x, without GA_PART_NORM (%d)", n.norm_weight, n.flags,
                      static_cast<unsigned>(c.flags), GA_PART_NORM);
  if ((c.flags & GA_PART_WEIGHT_PLUS_ONE) && !c.norm_weight.data)
    return no.invalid("%s has GA_PART_WEIGHT_PLUS_ONE (%d), but %s is NULL", n.flags, GA_PART_WEIGHT_PLUS_ONE,
                      n.norm_weight);
  return true;
}

void set_numbers(const ga_prologue_part &c, RowPart &part) {
  part.heads = c.heads;
  part.dim = c.dim;
  part.group = c.group > 0 ? c.group : c.heads;
  part.in_group_stride = c.in_group_stride;
  part.out_group_stride = c.out_group_stride;
  part.activation = c.activation;
  part.norm_eps = c.norm_eps;
  part.norm = c.flags & GA_PART_NORM;
  part.weight_plus_one = c.flags & GA_PART_WEIGHT_PLUS_ONE;
  part.rotate = c.flags & GA_PART_ROTATE;
}

bool add_part(const PartTensors &t, RowPart &part, Operands &all, bool backward) {
  if (!all.add(t.in, part.in) || !all.add(t.gate, part.gate) || !all.add(t.norm_weight, part.norm_weight) ||
      !all.add(t.residual, part.residual))
    return false;
  if (backward) return true;
  all.allow_in_place(t.out, t.in);
  return all.add(t.out, part.out);
}

void set_shared(const ga_prologue_part &c, const Extent &e, RowPart &part) {
  const int64_t extent[4] = {e.batch, e.seq, c.heads, c.dim};
  for (int a = 0; a < 4; a++) part.gate_shared[a] = part.gate.data && extent[a] > 1 && c.gate.stride[a] == 0;
  for (int a = 0; a < 2; a++)
    part.weight_shared[a] = part.norm_weight.data && extent[2 + a] > 1 && c.norm_weight.stride[2 + a] == 0;
}

bool check_shared(const char *name, const ga_tensor &gradient, const char *of, const ga_tensor &tensor,
                  const bool *shared, int first_axis, Refusal &no) {
  if (!gradient.data) return true;
  if (!tensor.data) return no.invalid("%s is given, but there is no %s", name, of);
  for (int a = first_axis; a < 4; a++)
    if (shared[a - first_axis] && gradient.stride[a] != 0)
      return no.invalid("%s has stride %" PRId64 " on axis %d, but %s has 0 there; it must be 0 too", name,
                        gradient.stride[a], a, of);
  return true;
}

bool add_gradient(const PartNames &n, const ga_prologue_part &c, const ga_prologue_gradient &g, const GradientTensors &t,
                  RowPart &part, Operands &all, Refusal &no) {
  if (!check_group_stride(n.d_out_group_stride, c, g.d_out_group_stride, no) ||
      (g.d_in.data && !check_group_stride(n.d_in_group_stride, c, g.d_in_group_stride, no)) ||
      !check_shared(n.d_gate, g.d_gate, n.gate, c.gate, part.gate_shared, 0, no) ||
      !check_shared(n.d_norm_weight, g.d_norm_weight, n.norm_weight, c.norm_weight, part.weight_shared, 2, no))
    return false;
  all.allow_in_place(t.d_in, t.d_out);
  part.d_out_group_stride = g.d_out_group_stride;
  part.d_in_group_stride = g.d_in_group_stride;
  return all.add(t.d_out, part.d_out) && all.add(t.d_in, part.d_in) && all.add(t.d_gate, part.d_gate) &&
         all.add(t.d_norm_weight, part.d_norm_weight);
}

bool rotates(const ga_prologue_params &c) {
  for (const ga_prologue_part *part : {&c.q, &c.k, &c.v})
    if (part->in.data && (part->flags & GA_PART_ROTATE)) return true;
  return false;
}

bool check_rotation(const ga_prologue_params &c, Refusal &no) {
  if (!rotates(c)) {
    if (c.rotary_dim != 0)
      return no.invalid("rotary_dim is %d, but no part has GA_PART_ROTATE; it must be 0", c.rotary_dim);
    return true;
  }
  if (c.rotary_dim < 2 || c.rotary_dim > 512 || c.rotary_dim % 2 != 0)
    return no.invalid("rotary_dim is %d; it must be even, from 2 to the dim of each part that rotates", c.rotary_dim);
  const ga_prologue_part *const parts[] = {&c.q, &c.k, &c.v};
  for (int n = 0; n < Prologue::kParts; n++)
    if (parts[n]->in.data && (parts[n]->flags & GA_PART_ROTATE) && c.rotary_dim > parts[n]->dim)
      return no.invalid("rotary_dim is %d, more than %s %d", c.rotary_dim, kNames[n].dim, parts[n]->dim);
  if (!check_range("table_rows", c.table_rows, 0, kMaxExtent, no) ||
      !check_range("first_position", c.first_position, 0, kMaxExtent, no))
    return false;
  if (!c.positions.data && c.batch > 0 && c.seq > 0 && c.first_position + c.seq > c.table_rows)
    return no.invalid("first_position is %" PRId64 " and seq is %" PRId64 ", but the tables have %" PRId64 " positions",
                      c.first_position, c.seq, c.table_rows);
  return true;
}

bool check_cache(const ga_prologue_params &c, Refusal &no) {
  if (!c.slots.data) {
    if (c.page_size != 0 || c.pages != 0)
      return no.invalid("page_size is %d and pages is %" PRId64 ", but there are no slots; both must be 0", c.page_size,
                        c.pages);
    return true;
  }
  if (!c.k.in.data && !c.v.in.data) return no.invalid("slots is given, but there is neither k.in nor v.in");
  if ((c.k.in.data && c.k.group != 0) || (c.v.in.data && c.v.group != 0))
    return no.invalid("k.group is %d and v.group is %d; with slots both must be 0", c.k.group, c.v.group);
  return check_range("page_size", c.page_size, 1, 1 << 16, no) && check_range("pages", c.pages, 0, INT32_MAX, no);
}

// Of both directions: all but out, or the gradients.
bool check_common(const ga_prologue_params &c, const PartTensors *const *tensors, const Expected &cosines,
                  const Expected &sines, const Expected &positions, const Expected &slots, Prologue &p, Operands &all,
                  bool backward) {
  const ga_prologue_part *const parts[] = {&c.q, &c.k, &c.v};
  for (int n = 0; n < Prologue::kParts; n++) {
    if (!parts[n]->in.data) continue;
    set_numbers(*parts[n], p.part[n]);
    p.part[n].to_cache = n > 0 && c.slots.data;
    if (!add_part(*tensors[n], p.part[n], all, backward)) return false;
  }
  if (rotates(c) && (!all.add(cosines, p.cosines) || !all.add(sines, p.sines) || !all.add(positions, p.positions)))
    return false;
  if (!all.add(slots, p.slots)) return false;
  p.batch = c.batch;
  p.seq = c.seq;
  p.rotary_dim = c.rotary_dim;
  p.interleaved = c.flags & GA_INTERLEAVED;
  p.table_rows = c.table_rows;
  p.first_position = c.first_position;
  p.pages = c.pages;
  p.page_size = c.page_size;
  return true;
}

bool check_prologue_numbers(const ga_prologue_params &c, bool backward, Refusal &no) {
  if (!check_range("batch", c.batch, 0, kMaxExtent, no) || !check_range("seq", c.seq, 0, kMaxExtent, no)) return false;
  if (c.reserved != 0) return no.invalid("reserved is %d; it must be 0", c.reserved);
  if (!check_flags(c.flags, GA_INTERLEAVED, no)) return false;
  if (static_cast<double>(c.batch) * static_cast<double>(c.seq) > static_cast<double>(kMaxExtent))
    return no.invalid("batch is %" PRId64 " and seq is %" PRId64 "; a call has at most 2^48 tokens", c.batch, c.seq);
  const ga_prologue_part *const parts[] = {&c.q, &c.k, &c.v};
  bool any = false;
  for (int n = 0; n < Prologue::kParts; n++) {
    if (!parts[n]->in.data) continue;
    any = true;
    if (!check_numbers(kNames[n], *parts[n], backward, no)) return false;
  }
  if (!any) return no.invalid("q.in, k.in and v.in are NULL; a call has at least one of them");
  return check_rotation(c, no) && check_cache(c, no);
}

// An epilogue as the part of a prologue. Its width may be any multiple of 8.
ga_prologue_part part_of(const ga_epilogue_params &c) {
  ga_prologue_part part = {};
  part.in = c.in;
  part.gate = c.gate;
  part.out = c.out;
  part.heads = 1;
  part.dim = c.width;
  part.activation = c.activation;
  return part;
}

bool check_epilogue_numbers(const ga_epilogue_params &c, Refusal &no) {
  if (!check_range("batch", c.batch, 0, kMaxExtent, no) || !check_range("seq", c.seq, 0, kMaxExtent, no) ||
      !check_range("activation", c.activation, GA_SIGMOID, GA_TANH, no))
    return false;
  if (static_cast<double>(c.batch) * static_cast<double>(c.seq) > static_cast<double>(kMaxExtent))
    return no.invalid("batch is %" PRId64 " and seq is %" PRId64 "; a call has at most 2^48 tokens", c.batch, c.seq);
  if (c.width < 8 || c.width > 1 << 20 || c.width % 8 != 0)
    return no.invalid("width is %d; it must be a multiple of 8 from 8 to %d", c.width, 1 << 20);
  return true;
}

}  // namespace

bool check_prologue(const ga_prologue_params *params, Prologue &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_prologue_params", params->struct_size, sizeof *params, no)) return false;
  const ga_prologue_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  if (!check_prologue_numbers(c, false, no)) return false;
  const Extent e = {c.batch, c.seq, c.pages, c.page_size};
  const ga_tensor none = {};
  const bool cached = c.slots.data;
  const PartTensors q(kNames[0], c.q, none, e, false, false), k(kNames[1], c.k, none, e, cached, false),
      v(kNames[2], c.v, none, e, cached, false);
  const PartTensors *const tensors[] = {&q, &k, &v};
  const Expected cosines = {"cosines", c.cosines, {1, c.table_rows, 1, c.rotary_dim / 2}, kF32, "f32", false,
                            false,     true};
  const Expected sines = {"sines", c.sines, {1, c.table_rows, 1, c.rotary_dim / 2}, kF32, "f32", false, false, true};
  const Expected positions = {"positions", c.positions, {c.batch, c.seq, 1, 1}, kI32, "i32", true, false, false};
  const Expected slots = {"slots", c.slots, {c.batch, c.seq, 1, 1}, kI32, "i32", false, false, false};
  Operands all(no);
  return check_common(c, tensors, cosines, sines, positions, slots, p, all, false) && all.check_apart();
}

bool check_prologue_backward(const ga_prologue_backward_params *params, Prologue &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_prologue_backward_params", params->struct_size, sizeof *params, no)) return false;
  const ga_prologue_backward_params g = *params;
  if (!g.forward) return no.invalid("forward is NULL; it must be the call that was made");
  if (!check_struct_size("ga_prologue_params", g.forward->struct_size, sizeof *g.forward, no)) return false;
  const ga_prologue_params c = *g.forward;
  if (c.slots.data) return no.with(GA_UNSUPPORTED, "slots is given; what went into a cache has no gradient here");
  if (!check_prologue_numbers(c, true, no)) return false;
  const Extent e = {c.batch, c.seq, 0, 0};
  const ga_tensor none = {};
  const PartTensors q(kNames[0], c.q, none, e, false, true), k(kNames[1], c.k, none, e, false, true),
      v(kNames[2], c.v, none, e, false, true);
  const PartTensors *const tensors[] = {&q, &k, &v};
  const Expected cosines = {"cosines", c.cosines, {1, c.table_rows, 1, c.rotary_dim / 2}, kF32, "f32", false,
                            false,     true};
  const Expected sines = {"sines", c.sines, {1, c.table_rows, 1, c.rotary_dim / 2}, kF32, "f32", false, false, true};
  const Expected positions = {"positions", c.positions, {c.batch, c.seq, 1, 1}, kI32, "i32", true, false, false};
  const Expected slots = {"slots", c.slots, {c.batch, c.seq, 1, 1}, kI32, "i32", false, false, false};
  Operands all(no);
  if (!check_common(c, tensors, cosines, sines, positions, slots, p, all, true)) return false;
  set_shared(c.q, e, p.part[0]);
  set_shared(c.k, e, p.part[1]);
  set_shared(c.v, e, p.part[2]);
  const GradientTensors dq(kNames[0], c.q, g.q, p.part[0], e), dk(kNames[1], c.k, g.k, p.part[1], e),
      dv(kNames[2], c.v, g.v, p.part[2], e);
  return (!p.part[0].in.data || add_gradient(kNames[0], c.q, g.q, dq, p.part[0], all, no)) &&
         (!p.part[1].in.data || add_gradient(kNames[1], c.k, g.k, dk, p.part[1], all, no)) &&
         (!p.part[2].in.data || add_gradient(kNames[2], c.v, g.v, dv, p.part[2], all, no)) && all.check_apart();
}

bool check_epilogue(const ga_epilogue_params *params, Prologue &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_epilogue_params", params->struct_size, sizeof *params, no)) return false;
  const ga_epilogue_params c = *params;
  if (!check_epilogue_numbers(c, no)) return false;
  const ga_prologue_part part = part_of(c);
  const PartTensors tensors(kEpilogueNames, part, c.residual, {c.batch, c.seq, 0, 0}, false, false);
  Operands all(no);
  p.batch = c.batch;
  p.seq = c.seq;
  set_numbers(part, p.part[0]);
  if (!add_part(tensors, p.part[0], all, false)) return false;
  all.allow_in_place(tensors.out, tensors.gate);
  all.allow_in_place(tensors.out, tensors.residual);
  return all.check_apart();
}

bool check_epilogue_backward(const ga_epilogue_backward_params *params, Prologue &p, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_epilogue_backward_params", params->struct_size, sizeof *params, no)) return false;
  const ga_epilogue_backward_params g = *params;
  if (!g.forward) return no.invalid("forward is NULL; it must be the call that was made");
  if (!check_struct_size("ga_epilogue_params", g.forward->struct_size, sizeof *g.forward, no)) return false;
  const ga_epilogue_params c = *g.forward;
  if (!check_epilogue_numbers(c, no)) return false;
  const ga_prologue_part part = part_of(c);
  const ga_tensor none = {};
  const Extent e = {c.batch, c.seq, 0, 0};
  const PartTensors tensors(kEpilogueNames, part, none, e, false, true);
  Operands all(no);
  p.batch = c.batch;
  p.seq = c.seq;
  set_numbers(part, p.part[0]);
  if (!add_part(tensors, p.part[0], all, true)) return false;
  set_shared(part, e, p.part[0]);
  ga_prologue_gradient gradient = {};
  gradient.d_out = g.d_out;
  gradient.d_in = g.d_in;
  gradient.d_gate = g.d_gate;
  const GradientTensors wanted(kEpilogueNames, part, gradient, p.part[0], e);
  return add_gradient(kEpilogueNames, part, gradient, wanted, p.part[0], all, no) && all.check_apart();
}

}  // namespace ga
