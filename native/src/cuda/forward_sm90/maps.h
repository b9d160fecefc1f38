// Which tensor maps a call needs, before a driver (or the emulator) encodes them: the tensors' own strides, so that q and gate
// are read out of one packed projection.
#pragma once

#include "core/problem.h"
#include "cuda/forward_sm90/tiles.h"

namespace ga::cuda::sm90 {

struct MapPlan {
  char *data;
  int64_t extent[4];        // {dim, row, head, batch}
  int64_t stride_bytes[4];  // of each axis; the first is the element
  int32_t box[4];
  int32_t swizzle_bytes;
};

enum class Operand { kQuery, kKey, kValue, kGate, kOut };

// For an axis along which nothing changes (one entry, or stride 0) the kernel uses coordinate 0: extent 1 and any stride will do.
inline MapPlan plan_map(const Problem &p, Operand operand) {
  const bool keys = operand == Operand::kKey || operand == Operand::kValue;
  const View &view = operand == Operand::kQuery   ? p.q
                     : operand == Operand::kKey   ? p.k
                     : operand == Operand::kValue ? p.v
                     : operand == Operand::kGate  ? p.gate
                                                  : p.out;
  const bool packed = keys ? p.cu_seqlens_k.data : p.cu_seqlens_q.data;
  const Shape shape = shape_of(p.head_dim);
  const int64_t row_bytes = static_cast<int64_t>(p.head_dim) * view.element_bytes;
  MapPlan m = {view.data,
               {p.head_dim, keys ? p.seq_k : p.seq_q, keys ? p.heads_kv : p.heads_q, packed ? 1 : p.batch},
               {view.element_bytes, view.sequence * view.element_bytes, view.head * view.element_bytes,
                view.batch * view.element_bytes},
               {shape.chunk_columns(), keys ? shape.key_block : Shape::warpgroup_rows, 1, 1},
               shape.row_bytes()};
  for (int axis = 1; axis < 4; ++axis) {
    if (m.stride_bytes[axis] == 0) m.extent[axis] = 1;
    if (m.extent[axis] == 1) m.stride_bytes[axis] = row_bytes;
  }
  return m;
}

// nullptr: the copy engine can follow it.
inline const char *refusal_of(const MapPlan &m) {
  if (reinterpret_cast<uintptr_t>(m.data) % 16 != 0) return "q, k, v, gate and out must be at multiples of 16 bytes";
  for (int axis = 1; axis < 4; ++axis) {
    if (m.stride_bytes[axis] % 16 != 0) return "the strides of q, k, v, gate and out must be multiples of 16 bytes";
    if (m.stride_bytes[axis] < 0 || m.stride_bytes[axis] >= 1LL << 40) return "a stride is above 2^40 bytes";
    if (m.extent[axis] >= 1LL << 29) return "an axis is longer than the Hopper kernels count";
  }
  return nullptr;
}

}  // namespace ga::cuda::sm90
