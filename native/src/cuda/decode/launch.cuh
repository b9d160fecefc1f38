// One launch of a decode kernel.
#pragma once

#include "cuda/decode/decode.cuh"
#include "cuda/decode/kernels.h"

namespace ga::cuda::decode {

template <class Rows>
cudaError_t launch(const Plan &plan, cudaStream_t stream) {
  const auto kernel = decode_kernel<Rows>;
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, plan.shared_bytes);
  if (error != cudaSuccess) return error;
  kernel<<<static_cast<unsigned>(plan.blocks), kThreads, static_cast<size_t>(plan.shared_bytes), stream>>>(
      plan.arguments);
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_mma(const Plan &plan, cudaStream_t stream) {
  switch (plan.geometry.dim) {
    case 64: return launch<MmaRows<T, 64>>(plan, stream);
    case 128: return launch<MmaRows<T, 128>>(plan, stream);
    default: return launch<MmaRows<T, 256>>(plan, stream);
  }
}

template <class K>
cudaError_t launch_fma(const Plan &plan, cudaStream_t stream) {
  return plan.geometry.dim == 128 ? launch<FmaRows<K, 128>>(plan, stream) : launch<FmaRows<K, 256>>(plan, stream);
}

}  // namespace ga::cuda::decode
