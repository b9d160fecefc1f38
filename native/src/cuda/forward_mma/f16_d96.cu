#include "cuda/forward_mma/instance.cuh"

template cudaError_t ga::cuda::prefill::launch_mma<ga::f16, 96>(const ga::Problem &, const Tasks &, int, cudaStream_t);
