#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_mma_bf16(const Plan &plan, cudaStream_t stream) {
  return launch_mma<bf16>(plan, stream);
}
