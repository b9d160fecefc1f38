// One type and head_dim: its kernels and how they are launched.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/forward_sm90/kernel.cuh"

namespace ga::cuda::sm90 {

template <typename T, int D, GateKind G>
cudaError_t launch_kernel(const Arguments &a, int blocks, cudaStream_t stream) {
  constexpr int bytes = shape_of(D).shared_bytes();
  const auto kernel = forward<T, D, G>;
  const cudaError_t failed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (failed != cudaSuccess) return failed;
  kernel<<<blocks, kThreads, bytes, stream>>>(a);
  return cudaGetLastError();
}

template <typename T, int D>
cudaError_t launch_instance(const Arguments &a, GateKind gate, int blocks, cudaStream_t stream) {
  switch (gate) {
    case GateKind::kNone: return launch_kernel<T, D, GateKind::kNone>(a, blocks, stream);
    case GateKind::kHead: return launch_kernel<T, D, GateKind::kHead>(a, blocks, stream);
    default: return launch_kernel<T, D, GateKind::kElement>(a, blocks, stream);
  }
}

}  // namespace ga::cuda::sm90
