// What launch.h declares, for the files that instantiate it.
#pragma once

#include "cuda/forward_mma/forward_fma.cuh"
#include "cuda/forward_mma/forward_mma.cuh"
#include "cuda/forward_mma/launch.h"

namespace ga::cuda::prefill {

template <class Kernel>
cudaError_t launch_kernel(Kernel *kernel, int threads, const Problem &p, const Tasks &tasks, int shared_bytes,
                          cudaStream_t stream) {
  const auto *entry = reinterpret_cast<const void *>(kernel);
  const cudaError_t error = cudaFuncSetAttribute(entry, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  if (error != cudaSuccess) return error;
  void *arguments[] = {const_cast<Problem *>(&p), const_cast<Tasks *>(&tasks)};
  return cudaLaunchKernel(entry, dim3(static_cast<unsigned>(tasks.count)), dim3(static_cast<unsigned>(threads)),
                          arguments, static_cast<size_t>(shared_bytes), stream);
}

template <class T, int kDim>
cudaError_t launch_mma(const Problem &p, const Tasks &tasks, int shared_bytes, cudaStream_t stream) {
  return launch_kernel(&forward_mma<T, kDim>, Tiling<kDim>::kThreads, p, tasks, shared_bytes, stream);
}

template <class T, int kColumns>
cudaError_t launch_fma(const Problem &p, const Tasks &tasks, int shared_bytes, cudaStream_t stream) {
  return launch_kernel(&forward_fma<T, kColumns>, FmaTiling::kThreads, p, tasks, shared_bytes, stream);
}

}  // namespace ga::cuda::prefill
