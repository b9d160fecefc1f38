// Finds and opens the library of the CUDA kernels: at run time, so that machines without a GPU need neither it nor a driver.
#pragma once

#include "abi/refusal.h"
#include "core/cuda_backend.h"

namespace ga {

// path: nullptr: beside this library, else where the system's loader looks. nullptr: refused. A library stays open.
const CudaBackend *open_cuda_library(const char *path, Refusal &no);

}  // namespace ga
