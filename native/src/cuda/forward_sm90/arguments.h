// What a launch of a Hopper kernel is told.
#pragma once

#include "core/problem.h"
#include "cuda/forward_sm90/tiles.h"
#include "cuda/ptx/sm90.cuh"

namespace ga::cuda::sm90 {

enum class GateKind {
  kNone,
  kHead,    // one score per row and head, of any type
  kElement  // a tile of the gate, of q's type
};

struct Arguments {
  TensorMap q, k, v, gate, out;
  Problem p;
  Work work;
  float scale_log2;  // of a product q . k, into powers of two
};

}  // namespace ga::cuda::sm90
