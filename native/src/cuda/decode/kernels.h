// The kernels of decode, one function for each type of keys and each head dimension that they are compiled for.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/decode/plan.h"

namespace ga::cuda::decode {

using Launch = cudaError_t (*)(const Plan &plan, cudaStream_t stream);

cudaError_t launch_mma_bf16(const Plan &plan, cudaStream_t stream);
cudaError_t launch_mma_f16(const Plan &plan, cudaStream_t stream);
cudaError_t launch_fma_f32(const Plan &plan, cudaStream_t stream);
cudaError_t launch_fma_bf16(const Plan &plan, cudaStream_t stream);
cudaError_t launch_fma_f16(const Plan &plan, cudaStream_t stream);
cudaError_t launch_fma_i8(const Plan &plan, cudaStream_t stream);

}  // namespace ga::cuda::decode
