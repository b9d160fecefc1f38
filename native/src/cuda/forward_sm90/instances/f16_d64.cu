#include "cuda/forward_sm90/instance.cuh"

template cudaError_t ga::cuda::sm90::launch_instance<ga::f16, 64>(const Arguments &, GateKind, int, cudaStream_t);
