#include "cuda/forward_mma/instance.cuh"

template cudaError_t ga::cuda::prefill::launch_mma<ga::bf16, 128>(const ga::Problem &, const Tasks &, int, cudaStream_t);
