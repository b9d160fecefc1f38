// Which kernel of this folder does a call.
#pragma once

#include "cuda/forward_mma/forward_fma.cuh"
#include "cuda/forward_mma/forward_mma.cuh"

namespace ga::cuda::prefill {

struct Choice {
  bool tensor_cores;  // forward_mma, else forward_fma
  int columns;        // the kernel's kDim or kColumns
  int query_block, key_block, shared_bytes;
};

template <int kDim>
Choice mma_choice() {
  using Tile = Tiling<kDim>;
  return {true, kDim, Tile::kQueryBlock, Tile::kKeyBlock, Tile::kSharedBytes};
}

inline Choice choose(const Problem &p) {
  const int larger = p.head_dim > p.head_dim_v ? p.head_dim : p.head_dim_v;
  if (p.q.dtype != GA_F32 && p.k.dtype == p.q.dtype && larger <= 256)
    return larger <= 64    ? mma_choice<64>()
           : larger <= 96  ? mma_choice<96>()
           : larger <= 128 ? mma_choice<128>()
           : larger <= 192 ? mma_choice<192>()
                           : mma_choice<256>();
  const int columns = p.q.dtype != GA_F32 || p.head_dim_v > 256 ? 512 : p.head_dim_v > 128 ? 256 : 128;
  return {false, columns, FmaTiling::kQueryBlock, FmaTiling::kKeyBlock,
          FmaTiling::shared_bytes(p.head_dim, p.head_dim_v)};
}

}  // namespace ga::cuda::prefill
