#include "cuda/runtime/memory.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace ga::cuda {
namespace {

cudaStream_t stream_of(void *stream) { return static_cast<cudaStream_t>(stream); }

Place place_of(const CudaDevice &device, const void *address) {
  cudaPointerAttributes attributes;
  if (cudaPointerGetAttributes(&attributes, address) != cudaSuccess) {
    cudaGetLastError();
    return Place::kHost;
  }
  switch (attributes.type) {
    case cudaMemoryTypeDevice: return attributes.device == device.facts.index ? Place::kDevice : Place::kOtherDevice;
    case cudaMemoryTypeManaged: return Place::kDevice;  // goes where it is used
    default: return Place::kHost;
  }
}

// Zeroed before anyone can see it, whatever stream he uses; on a stream of its own, since work on the default one would spoil a
// capture of another thread.
cudaError_t allocate_on_device(const CudaDevice &device, int64_t bytes, void **memory) {
  cudaError_t result = cudaMalloc(memory, static_cast<size_t>(bytes));
  if (result != cudaSuccess) return result;
  result = cudaMemsetAsync(*memory, 0, static_cast<size_t>(bytes), device.service);
  if (result == cudaSuccess) result = cudaStreamSynchronize(device.service);
  if (result != cudaSuccess) cudaFree(*memory);
  return result;
}

cudaError_t allocate_pinned(int64_t bytes, void **memory) {
  const cudaError_t result = cudaHostAlloc(memory, static_cast<size_t>(bytes), cudaHostAllocPortable);
  if (result == cudaSuccess) std::memset(*memory, 0, static_cast<size_t>(bytes));
  return result;
}

}  // namespace

// Of a device that failed nothing is misplaced: the call itself says that it failed.
int misplaced(CudaDevice *device, const void *const *addresses, int count, Place *place) {
  ga_error ignored;
  const Current current(*device, &ignored);
  if (current.status() != GA_OK) return count;
  for (int i = 0; i < count; i++) {
    if (!addresses[i]) continue;
    *place = place_of(*device, addresses[i]);
    if (*place != Place::kDevice) return i;
  }
  return count;
}

ga_status allocate(CudaDevice *device, ga_memory kind, int64_t bytes, void **memory, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  const bool pinned = kind == GA_MEMORY_PINNED;
  const cudaError_t result = pinned ? allocate_pinned(bytes, memory) : allocate_on_device(*device, bytes, memory);
  if (result == cudaSuccess) return GA_OK;
  char action[96];
  std::snprintf(action, sizeof action, "allocating %" PRId64 " bytes%s", bytes, pinned ? " of pinned host memory" : "");
  return outcome(device->facts.index, result, error, action);
}

// cudaFree alone waits for the work of the device, cudaFreeHost does not promise it.
ga_status free_memory(CudaDevice *device, void *memory, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  cudaPointerAttributes attributes;
  cudaError_t result = cudaPointerGetAttributes(&attributes, memory);
  if (result != cudaSuccess || (attributes.type != cudaMemoryTypeDevice && attributes.type != cudaMemoryTypeHost)) {
    cudaGetLastError();
    return refuse(error, GA_INVALID_ARGUMENT, "memory is %p, which ga_memory_allocate did not give, or gave and freed",
                  memory);
  }
  if (attributes.type == cudaMemoryTypeDevice) {
    result = cudaFree(memory);
  } else {
    result = cudaDeviceSynchronize();
    if (result == cudaSuccess) result = cudaFreeHost(memory);
  }
  return outcome(device->facts.index, result, error, "freeing memory");
}

ga_status copy(CudaDevice *device, void *to, const void *from, int64_t bytes, void *stream, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  // The addresses say where the memory lies.
  const cudaError_t result = cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_of(stream));
  if (result == cudaSuccess) return GA_OK;
  char action[64];
  std::snprintf(action, sizeof action, "copying %" PRId64 " bytes", bytes);
  return outcome(device->facts.index, result, error, action);
}

ga_status stream_open(CudaDevice *device, void **stream, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  cudaStream_t opened = nullptr;
  const ga_status status =
      outcome(device->facts.index, cudaStreamCreateWithFlags(&opened, cudaStreamNonBlocking), error, "opening a stream");
  if (status == GA_OK) *stream = opened;
  return status;
}

ga_status stream_close(CudaDevice *device, void *stream, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  cudaError_t result = cudaStreamSynchronize(stream_of(stream));
  if (result == cudaSuccess) result = cudaStreamDestroy(stream_of(stream));
  return outcome(device->facts.index, result, error, "closing a stream");
}

ga_status stream_synchronize(CudaDevice *device, void *stream, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  return outcome(device->facts.index, cudaStreamSynchronize(stream_of(stream)), error, "synchronizing a stream");
}

}  // namespace ga::cuda
