#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_fma_bf16(const Plan &plan, cudaStream_t stream) {
  return launch_fma<bf16>(plan, stream);
}
