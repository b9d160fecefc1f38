// What happens to the rows of a projection's output: a gate, RMSNorm, RoPE, a residual; and where they go, a cache perhaps.
//
// The prologue of attention has up to three such parts, q, k and v; the epilogue has one, without norm and RoPE. A row is one
// token of one head.
#pragma once

#include "core/problem.h"
#include "core/thread_pool.h"

namespace ga {

struct Kernels;

struct RowPart {
  View in, gate, norm_weight, residual, out;  // data == nullptr: absent; without in there is no such part
  int32_t heads, dim;
  int32_t group;                              // heads of a group; a group lies group strides from the next
  int64_t in_group_stride, out_group_stride;  // elements
  ga_activation activation;
  float norm_eps;
  bool norm, weight_plus_one, rotate;
  bool to_cache;  // out is a row per slot instead of one per token

  // Backward alone
  View d_out, d_in, d_gate, d_norm_weight;
  int64_t d_out_group_stride, d_in_group_stride;
  bool gate_shared[4];                 // by batch, sequence, head, dim: there the gradient is summed up
  bool weight_shared[2];               // by head, dim
  int64_t weight_offset, gate_offset;  // floats, into a task's partial sums

  GA_ALWAYS_INLINE char *row(const View &view, int64_t group_stride, int64_t b, int64_t s, int64_t h) const {
    return view.at(b, s, h % group) + h / group * group_stride * view.element_bytes;
  }
  GA_ALWAYS_INLINE int64_t gate_heads() const { return gate_shared[2] ? 1 : heads; }
  GA_ALWAYS_INLINE int64_t gate_dim() const { return gate_shared[3] ? 1 : dim; }
};

struct Prologue {
  static constexpr int kParts = 3;
  int64_t batch, seq;
  RowPart part[kParts];
  int32_t rotary_dim;
  bool interleaved;
  int64_t table_rows;
  View cosines, sines;  // [table_rows, rotary_dim / 2] on the sequence and dim axes
  View positions;       // [batch, seq] or absent: first_position + s
  int64_t first_position;
  View slots;  // [batch, seq]; -1: not kept
  int64_t pages;
  int32_t page_size;

  int64_t tokens_per_task, tasks;  // forward: neighboring tokens; backward: neighboring positions of all sequences
  int64_t partial_floats;          // backward: sums of one task
  float *partials;                 // [tasks, partial_floats]

  GA_ALWAYS_INLINE int64_t position(int64_t b, int64_t s) const {
    return positions.data ? *reinterpret_cast<const int32_t *>(positions.at(b, s, 0)) : first_position + s;
  }
  GA_ALWAYS_INLINE int64_t slot(int64_t b, int64_t s) const {
    return *reinterpret_cast<const int32_t *>(slots.at(b, s, 0));
  }
};

// Scratch: backward's partial sums, then a piece per thread. Cuts the work, from the shape alone.
int64_t cut_prologue(Prologue &p, bool backward, int threads);
void prologue(Prologue &p, const Kernels &kernels, ThreadPool &pool, char *workspace);
void prologue_backward(Prologue &p, const Kernels &kernels, ThreadPool &pool, char *workspace);

// Floats of scratch per thread, for rows of up to so many elements.
GA_ALWAYS_INLINE int64_t row_scratch(int64_t dim) { return round_up(dim, 16) + 16; }

}  // namespace ga
