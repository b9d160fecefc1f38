#include "cuda/decode/launch.cuh"

cudaError_t ga::cuda::decode::launch_fma_i8(const Plan &plan, cudaStream_t stream) {
  return launch_fma<i8>(plan, stream);
}
