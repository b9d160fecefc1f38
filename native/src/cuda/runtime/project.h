// Projections: matrix products by cuBLASLt.
#pragma once

#include "cuda/runtime/device.h"

namespace ga::cuda {

ga_status project(CudaDevice *device, const Projection &p, void *stream, ga_error *error);

}  // namespace ga::cuda
