// The prologue and the epilogue of attention: one pass over the rows of a projection's output.
//
//   x = in * a(gate)         x = x / sqrt(mean(x^2) + eps) * weight         x = rotate(x)         out = x + residual
//
// Every step that a part does not have is left out; all of them are f32, with one rounding at the end.
#pragma once

#include "core/prologue.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"

namespace ga::GA_ISA {
namespace {

GA_INLINE int lanes_of_row(int64_t dim, int64_t d) { return static_cast<int>(dim - d < kWidth ? dim - d : kWidth); }

template <class T>
GA_INLINE F load_some(const T *p, int n) {
  return n < kWidth ? load(p, n) : load(p);
}

template <class T>
GA_INLINE void store_some(T *p, F x, int n) {
  if (n < kWidth)
    store(p, x, n);
  else
    store(p, x);
}

// Of x [dim], whose vectors reach into padding.
GA_INLINE float sum_of_products(const float *x, const float *y, int64_t dim) {
  F sum = zero();
  for (int64_t d = 0; d < dim; d += kWidth) {
    const F product = mul(load(x + d), load(y + d));
    sum = add(sum, lanes_of_row(dim, d) < kWidth ? keep_range(product, 0, lanes_of_row(dim, d), zero()) : product);
  }
  return reduce_add(sum);
}

// 1 / sqrt(mean(x^2) + eps); 0 where nothing is left to divide by: a row of zeros stays one, whatever eps.
GA_INLINE float norm_factor(const RowPart &part, const float *x) {
  const double mean =
      sum_of_products(x, x, part.dim) / static_cast<double>(part.dim) + static_cast<double>(part.norm_eps);
  return mean == 0 ? 0.0f : static_cast<float>(1 / __builtin_sqrt(mean));
}

GA_INLINE F norm_weight(const RowPart &part, int64_t h, int64_t d) {
  if (!part.norm_weight.data) return set(1.0f);
  const F w = load_row(part.norm_weight, part.norm_weight.at(0, 0, h), d, lanes_of_row(part.dim, d));
  return part.weight_plus_one ? add(w, set(1.0f)) : w;
}

// Turns pairs of x by the position's angles, backwards where the sign is -1.
static void rotate(const Prologue &p, int64_t position, float sign, float *x) {
  const int64_t half = p.rotary_dim / 2;
  const float *c = reinterpret_cast<const float *>(p.cosines.at(0, position, 0));
  const float *s = reinterpret_cast<const float *>(p.sines.at(0, position, 0));
  int64_t d = 0;
  if (!p.interleaved)
    for (; d + kWidth <= half; d += kWidth) {
      const F a = load(x + d), b = load(x + half + d), cosine = load(c + d), sine = mul(load(s + d), set(sign));
      store(x + d, sub(mul(a, cosine), mul(b, sine)));
      store(x + half + d, add(mul(b, cosine), mul(a, sine)));
    }
  const int64_t apart = p.interleaved ? 1 : half, step = p.interleaved ? 2 : 1;
  for (; d < half; d++) {
    const float a = x[d * step], b = x[d * step + apart], sine = s[d] * sign;
    x[d * step] = a * c[d] - b * sine;
    x[d * step + apart] = b * c[d] + a * sine;
  }
}

// x = in * a(gate)
template <class T>
static void load_gated(const RowPart &part, int64_t b, int64_t s, int64_t h, float *x) {
  constexpr Precision precision = sizeof(T) == 4 ? kFine : kCoarse;
  const T *in = reinterpret_cast<const T *>(part.row(part.in, part.in_group_stride, b, s, h));
  const char *gate = part.gate.data ? part.gate.at(b, s, h) : nullptr;
  for (int64_t d = 0; d < part.dim; d += kWidth) {
    const int n = lanes_of_row(part.dim, d);
    F v = load_some(in + d, n);
    if (gate) v = mul(v, activate<precision>(part.activation, load_row(part.gate, gate, d, n)));
    store(x + d, v);
  }
}

template <class T>
static void prologue_row(const Prologue &p, const RowPart &part, int64_t b, int64_t s, int64_t h, T *out, float *x) {
  load_gated<T>(part, b, s, h, x);
  if (part.norm) {
    const F factor = set(norm_factor(part, x));
    for (int64_t d = 0; d < part.dim; d += kWidth) store(x + d, mul(mul(load(x + d), factor), norm_weight(part, h, d)));
  }
  if (part.rotate) rotate(p, p.position(b, s), 1, x);
  const char *residual = part.residual.data ? part.residual.at(b, s, h) : nullptr;
  for (int64_t d = 0; d < part.dim; d += kWidth) {
    const int n = lanes_of_row(part.dim, d);
    F v = load(x + d);
    if (residual) v = add(v, load_row(part.residual, residual, d, n));
    store_some(out + d, v, n);
  }
}

template <class T>
static void prologue_token(const Prologue &p, const RowPart &part, int64_t b, int64_t s, float *x) {
  const int64_t slot = part.to_cache ? p.slot(b, s) : 0;
  if (slot < 0) return;
  for (int64_t h = 0; h < part.heads; h++) {
    char *out = part.to_cache ? part.out.at(slot / p.page_size, slot % p.page_size, h)
                              : part.row(part.out, part.out_group_stride, b, s, h);
    prologue_row<T>(p, part, b, s, h, reinterpret_cast<T *>(out), x);
  }
}

static void prologue_task(const Prologue &p, char *own, int64_t task) {
  float *x = reinterpret_cast<float *>(own);
  const int64_t first = task * p.tokens_per_task, all = p.batch * p.seq;
  const int64_t end = first + p.tokens_per_task < all ? first + p.tokens_per_task : all;
  for (int64_t token = first; token < end; token++) {
    const int64_t b = token / p.seq, s = token % p.seq;
    for (const RowPart &part : p.part) {
      if (!part.in.data) continue;
      switch (part.in.dtype) {
        case GA_BF16: prologue_token<bf16>(p, part, b, s, x); break;
        case GA_F16: prologue_token<f16>(p, part, b, s, x); break;
        default: prologue_token<float>(p, part, b, s, x);
      }
    }
  }
}

}  // namespace
}  // namespace ga::GA_ISA
