#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_mma_f16(const Plan &plan, cudaStream_t stream) {
  return launch_mma<f16>(plan, stream);
}
