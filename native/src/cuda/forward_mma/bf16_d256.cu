#include "cuda/forward_mma/instance.cuh"

template cudaError_t ga::cuda::prefill::launch_mma<ga::bf16, 256>(const ga::Problem &, const Tasks &, int, cudaStream_t);
