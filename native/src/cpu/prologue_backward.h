// Backward of the prologue and the epilogue: from the gradient of out to those of in, gate and norm weight.
//
// The forward values are computed anew, from in and gate. With u = in * a(gate), r = 1 / sqrt(mean(u^2) + eps), n = u r:
//
//   dn = rotate back (d_out)        d_weight = sum of dn * n        t = dn * weight        du = r (t - n mean(t n))
//   d_in = du * a(gate)             d_gate = du * in * a'(gate)
//
// Where a gate or a weight is shared, its gradient is a sum. A task takes some positions of all sequences, in order, and leaves its
// sums to be added up, in order.
#pragma once

#include "cpu/prologue.h"
#include "cpu/slope.h"

namespace ga::GA_ISA {
namespace {

// Elements [0, n) of a row that is written: a gradient of any of the three types, one apart.
static void store_row(const View &view, char *row, const float *x, int64_t dim) {
  for (int64_t d = 0; d < dim; d += kWidth) {
    const int64_t left = dim - d;
    const F v = load(x + d);
    if (left >= kWidth) {
      switch (view.dtype) {
        case GA_BF16: store(reinterpret_cast<bf16 *>(row) + d, v); break;
        case GA_F16: store(reinterpret_cast<f16 *>(row) + d, v); break;
        default: store(reinterpret_cast<float *>(row) + d, v);
      }
      continue;
    }
    // Fewer than a vector: a score per head, or the end of a row.
    bf16 b[kWidth];
    f16 f[kWidth];
    store(b, v);
    store(f, v);
    for (int64_t i = 0; i < left; i++) {
      if (view.dtype == GA_BF16)
        reinterpret_cast<bf16 *>(row)[d + i] = b[i];
      else if (view.dtype == GA_F16)
        reinterpret_cast<f16 *>(row)[d + i] = f[i];
      else
        reinterpret_cast<float *>(row)[d + i] = x[d + i];
    }
  }
}

// The rows that one thread works on.
struct RowBuffers {
  float *dy, *u, *n, *dg;  // gradient; gated input; normalized, then the gradient of u; gradient of the gate's scores
  float *scores;           // sums of those over the heads of a token, [gate_heads, gate_dim]
};

static void add_row(float *to, const float *x, int64_t dim) {
  for (int64_t d = 0; d < dim; d += kWidth) store(to + d, add(load(to + d), load(x + d)));
}

static float sum_row(const float *x, int64_t dim) {
  F sum = zero();
  for (int64_t d = 0; d < dim; d += kWidth)
    sum =
        add(sum, lanes_of_row(dim, d) < kWidth ? keep_range(load(x + d), 0, lanes_of_row(dim, d), zero()) : load(x + d));
  return reduce_add(sum);
}

template <class T>
static void backward_row(const Prologue &p, const RowPart &part, const RowBuffers &r, int64_t b, int64_t s, int64_t h,
                         float *weight_sums, float *gate_sums) {
  const int64_t dim = part.dim;
  const T *d_out = reinterpret_cast<const T *>(part.row(part.d_out, part.d_out_group_stride, b, s, h));
  for (int64_t d = 0; d < dim; d += kWidth) store(r.dy + d, load_some(d_out + d, lanes_of_row(dim, d)));
  if (part.rotate) rotate(p, p.position(b, s), -1, r.dy);
  if (part.norm) {
    load_gated<T>(part, b, s, h, r.u);
    const float root = norm_factor(part, r.u);
    const F factor = set(root);
    for (int64_t d = 0; d < dim; d += kWidth) {
      const F normalized = mul(load(r.u + d), factor), dn = load(r.dy + d);
      store(r.n + d, normalized);
      if (weight_sums) store(weight_sums + d, fma(dn, normalized, load(weight_sums + d)));
      store(r.dy + d, mul(dn, norm_weight(part, h, d)));
    }
    const F mean = set(sum_of_products(r.dy, r.n, dim) / static_cast<float>(dim));
    for (int64_t d = 0; d < dim; d += kWidth) store(r.dy + d, mul(factor, fnma(load(r.n + d), mean, load(r.dy + d))));
  }
  const T *in = reinterpret_cast<const T *>(part.row(part.in, part.in_group_stride, b, s, h));
  const char *gate = part.gate.data ? part.gate.at(b, s, h) : nullptr;
  for (int64_t d = 0; gate && d < dim; d += kWidth) {
    const int n = lanes_of_row(dim, d);
    const Activation a = activation_of<kFine>(part.activation, load_row(part.gate, gate, d, n));
    const F du = load(r.dy + d);
    store(r.dg + d, a.times_slope(mul(du, load_some(in + d, n))));
    store(r.dy + d, mul(du, a.value));
  }
  if (part.d_in.data) store_row(part.d_in, part.row(part.d_in, part.d_in_group_stride, b, s, h), r.dy, dim);
  if (!gate_sums) return;
  float *to = gate_sums + (part.gate_shared[2] ? 0 : h) * row_scratch(part.gate_dim());
  if (part.gate_shared[3])
    *to += sum_row(r.dg, dim);
  else
    add_row(to, r.dg, dim);
}

static void clear_floats(float *x, int64_t count) {
  for (int64_t n = 0; n < count; n++) x[n] = 0;
}

static void store_gate(const RowPart &part, int64_t b, int64_t s, const float *sums) {
  for (int64_t h = 0; h < part.gate_heads(); h++)
    store_row(part.d_gate, part.d_gate.at(b, s, h), sums + h * row_scratch(part.gate_dim()), part.gate_dim());
}

template <class T>
static void backward_position(const Prologue &p, const RowPart &part, const RowBuffers &r, float *partial, int64_t s) {
  const int64_t gate_floats = part.gate_heads() * row_scratch(part.gate_dim());
  float *weight_sums = part.d_norm_weight.data ? partial + part.weight_offset : nullptr;
  for (int64_t b = 0; b < p.batch; b++) {
    float *gate_sums = nullptr;
    if (part.d_gate.data) {
      gate_sums =
          part.gate_shared[1] ? partial + part.gate_offset + (part.gate_shared[0] ? 0 : b * gate_floats) : r.scores;
      if (!part.gate_shared[1] && (b == 0 || !part.gate_shared[0])) clear_floats(gate_sums, gate_floats);
    }
    for (int64_t h = 0; h < part.heads; h++)
      backward_row<T>(p, part, r, b, s, h, weight_sums ? weight_sums + h * row_scratch(part.dim) : nullptr, gate_sums);
    const bool complete = !part.gate_shared[0] || b == p.batch - 1;
    if (gate_sums && !part.gate_shared[1] && complete) store_gate(part, part.gate_shared[0] ? 0 : b, s, gate_sums);
  }
}

static void prologue_backward_task(const Prologue &p, char *own, int64_t task) {
  int64_t dim = 0;
  for (const RowPart &part : p.part)
    if (part.in.data && part.dim > dim) dim = part.dim;
  float *x = reinterpret_cast<float *>(own);
  const int64_t row = row_scratch(dim);
  const RowBuffers rows = {x, x + row, x + 2 * row, x + 3 * row, x + 4 * row};
  float *partial = p.partials + task * p.partial_floats;
  clear_floats(partial, p.partial_floats);
  const int64_t first = task * p.tokens_per_task,
                end = first + p.tokens_per_task < p.seq ? first + p.tokens_per_task : p.seq;
  for (int64_t s = first; s < end; s++)
    for (const RowPart &part : p.part) {
      if (!part.in.data) continue;
      switch (part.in.dtype) {
        case GA_BF16: backward_position<bf16>(p, part, rows, partial, s); break;
        case GA_F16: backward_position<f16>(p, part, rows, partial, s); break;
        default: backward_position<float>(p, part, rows, partial, s);
      }
    }
}

// Sum over all tasks of floats [0, n) of their sums.
static void add_partials(const Prologue &p, int64_t offset, int64_t n, double *to) {
  for (int64_t i = 0; i < n; i++) to[i] = 0;
  for (int64_t t = 0; t < p.tasks; t++) {
    const float *partial = p.partials + t * p.partial_floats + offset;
    for (int64_t i = 0; i < n; i++) to[i] += partial[i];
  }
}

constexpr int64_t kSumRun = 256;  // elements at a time

// Row `row` of [rows, dim] sums becomes elements of a gradient; shared ones are added up.
static void store_sums(const Prologue &p, const View &view, char *to, int64_t offset, int64_t first_row, int64_t rows,
                       int64_t dim, bool shared_dim) {
  double sums[kSumRun], all[kSumRun];
  alignas(64) float result[kSumRun + kWidth];
  double total = 0;
  for (int64_t d = 0; d < dim; d += kSumRun) {
    const int64_t n = dim - d < kSumRun ? dim - d : kSumRun;
    for (int64_t i = 0; i < n; i++) all[i] = 0;
    for (int64_t r = first_row; r < first_row + rows; r++) {
      add_partials(p, offset + r * row_scratch(dim) + d, n, sums);
      for (int64_t i = 0; i < n; i++) all[i] += sums[i];
    }
    for (int64_t i = 0; i < n; i++) {
      total += all[i];
      result[i] = static_cast<float>(all[i]);
    }
    if (!shared_dim) store_row(view, to + d * view.element_bytes, result, n);
  }
  if (!shared_dim) return;
  result[0] = static_cast<float>(total);
  store_row(view, to, result, 1);
}

static void prologue_sums(const Prologue &p) {
  for (const RowPart &part : p.part) {
    if (!part.in.data) continue;
    if (part.d_norm_weight.data) {
      const int64_t heads = part.weight_shared[0] ? 1 : part.heads;
      for (int64_t h = 0; h < heads; h++)
        store_sums(p, part.d_norm_weight, part.d_norm_weight.at(0, 0, h), part.weight_offset, h,
                   part.weight_shared[0] ? part.heads : 1, part.dim, part.weight_shared[1]);
    }
    if (part.d_gate.data && part.gate_shared[1]) {
      const int64_t entries = part.gate_shared[0] ? 1 : p.batch, heads = part.gate_heads();
      for (int64_t b = 0; b < entries; b++)
        for (int64_t h = 0; h < heads; h++)
          store_sums(p, part.d_gate, part.d_gate.at(b, 0, h), part.gate_offset, b * heads + h, 1, part.gate_dim(), false);
    }
  }
}

}  // namespace
}  // namespace ga::GA_ISA
