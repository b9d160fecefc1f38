// Launches of the kernels; each instance is compiled in a file of its own (instance.cuh).
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/forward_mma/tiling.h"

namespace ga::cuda::prefill {

template <class T, int kDim>
cudaError_t launch_mma(const Problem &p, const Tasks &tasks, int shared_bytes, cudaStream_t stream);
template <class T, int kColumns>
cudaError_t launch_fma(const Problem &p, const Tasks &tasks, int shared_bytes, cudaStream_t stream);

}  // namespace ga::cuda::prefill
