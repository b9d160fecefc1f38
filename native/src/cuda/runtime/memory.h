// Memory of a device, pinned memory of the host, copies, streams.
#pragma once

#include "cuda/runtime/device.h"

namespace ga::cuda {

int misplaced(CudaDevice *device, const void *const *addresses, int count, Place *place);
ga_status allocate(CudaDevice *device, ga_memory kind, int64_t bytes, void **memory, ga_error *error);
ga_status free_memory(CudaDevice *device, void *memory, ga_error *error);
ga_status copy(CudaDevice *device, void *to, const void *from, int64_t bytes, void *stream, ga_error *error);
ga_status stream_open(CudaDevice *device, void **stream, ga_error *error);
ga_status stream_close(CudaDevice *device, void *stream, ga_error *error);
ga_status stream_synchronize(CudaDevice *device, void *stream, ga_error *error);

}  // namespace ga::cuda
