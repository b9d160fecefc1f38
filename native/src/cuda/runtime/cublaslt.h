// cuBLASLt, opened when the first projection asks for it: CUDA's matrix products, which a machine may not have. The prototypes are
// of its public interface, the same in versions 12 and 13.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "gated_attention.h"

namespace ga::cuda::lt {

using Status = int;  // 0: success
using Handle = struct Context *;
using MatmulDescriptor = struct MatmulOpaque *;
using Layout = struct LayoutOpaque *;
using Preference = struct PreferenceOpaque *;

struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

// Of cudaDataType
constexpr int kF32 = 0, kF16 = 2, kBf16 = 14;
// Of cublasComputeType_t: accumulates in f32, and multiplies f32 as f32
constexpr int kComputeF32 = 68;
// Of cublasOperation_t
constexpr int32_t kAsIs = 0, kTransposed = 1;
// Of cublasLtMatmulDescAttributes_t
constexpr int kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8;
// Of cublasLtEpilogue_t
constexpr int32_t kEpilogueBias = 4;
// Of cublasLtMatmulPreferenceAttributes_t
constexpr int kMaxWorkspaceBytes = 1, kMinAlignmentA = 5, kMinAlignmentB = 6, kMinAlignmentC = 7, kMinAlignmentD = 8;

struct Functions {
  Status (*create)(Handle *);
  Status (*matmul_create)(MatmulDescriptor *, int compute, int scale_type);
  Status (*matmul_destroy)(MatmulDescriptor);
  Status (*matmul_set)(MatmulDescriptor, int attribute, const void *value, size_t bytes);
  Status (*layout_create)(Layout *, int type, uint64_t rows, uint64_t columns, int64_t leading);
  Status (*layout_destroy)(Layout);
  Status (*preference_create)(Preference *);
  Status (*preference_destroy)(Preference);
  Status (*preference_set)(Preference, int attribute, const void *value, size_t bytes);
  Status (*heuristic)(Handle, MatmulDescriptor, Layout a, Layout b, Layout c, Layout d, Preference, int wanted,
                      Heuristic *results, int *found);
  Status (*matmul)(Handle, MatmulDescriptor, const void *alpha, const void *a, Layout, const void *b, Layout,
                   const void *beta, const void *c, Layout, void *d, Layout, const Algorithm *, void *workspace,
                   size_t workspace_bytes, cudaStream_t);
};

// GA_UNAVAILABLE, naming what was searched, where there is none.
ga_status functions(const Functions **found, ga_error *error);

}  // namespace ga::cuda::lt
