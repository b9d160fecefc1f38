#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_fma_f32(const Plan &plan, cudaStream_t stream) {
  return launch_fma<float>(plan, stream);
}
