#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_fma_f16(const Plan &plan, cudaStream_t stream) {
  return launch_fma<f16>(plan, stream);
}
