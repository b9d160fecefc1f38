// Which family of kernels does a call, and its launch.
#pragma once

#include "cuda/runtime/device.h"

namespace ga::cuda {

ga_status plan(CudaDevice *device, const Problem &p, ga_attention_plan *plan, ga_error *error);
ga_status forward(CudaDevice *device, const Problem &p, void *workspace, int64_t workspace_bytes, void *stream,
                  ga_error *error);
ga_status merge(CudaDevice *device, const Merge &m, void *stream, ga_error *error);

}  // namespace ga::cuda
