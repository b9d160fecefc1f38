#include "cuda/runtime/device.h"

#include <cstdlib>
#include <new>

namespace ga::cuda {
namespace {

constexpr int kOldest = 80;  // compute capability

int whole(int version) { return version / 1000; }
int part(int version) { return version % 1000 / 10; }

// How many devices there are; what keeps this process from them is told apart.
ga_status count_devices(int &count, ga_error *error) {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);  // 0: none
  cudaRuntimeGetVersion(&runtime);
  const cudaError_t result = cudaGetDeviceCount(&count);
  if (result == cudaSuccess && count > 0) return GA_OK;
  cudaGetLastError();
  if (driver == 0)
    return refuse(error, GA_UNAVAILABLE,
                  "there is no NVIDIA driver: libcuda.so.1 was not found; install one for CUDA %d.%d or later",
                  whole(runtime), part(runtime));
  if (result == cudaErrorInsufficientDriver)
    return refuse(error, GA_UNAVAILABLE,
                  "the NVIDIA driver is for CUDA %d.%d, but this library needs CUDA %d.%d; install a newer driver",
                  whole(driver), part(driver), whole(runtime), part(runtime));
  if (result == cudaSuccess || result == cudaErrorNoDevice)
    return refuse(error, GA_UNAVAILABLE,
                  "the NVIDIA driver for CUDA %d.%d sees no device; CUDA_VISIBLE_DEVICES may hide them", whole(driver),
                  part(driver));
  return refuse(error, GA_UNAVAILABLE, "the NVIDIA driver for CUDA %d.%d cannot be used: %s (%s)", whole(driver),
                part(driver), cudaGetErrorString(result), cudaGetErrorName(result));
}

int attribute(cudaDeviceAttr which, int index) {
  int value = 0;
  cudaDeviceGetAttribute(&value, which, index);
  return value;
}

}  // namespace

Current::Current(const CudaDevice &device, ga_error *error) : status_(failed_before(device.facts.index, error)) {
  if (status_ != GA_OK) return;
  int before = -1;
  cudaError_t result = cudaGetDevice(&before);
  if (result == cudaSuccess) result = cudaSetDevice(device.facts.index);
  if (result == cudaSuccess) result = cudaThreadExchangeStreamCaptureMode(&mode_);
  status_ = outcome(device.facts.index, result, error, "making the device current");
  if (status_ == GA_OK) before_ = before;
}

Current::~Current() {
  if (before_ < 0) return;
  cudaThreadExchangeStreamCaptureMode(&mode_);
  cudaSetDevice(before_);
}

ga_status open(int32_t index, CudaDevice **device, ga_error *error) {
  int count = 0;
  if (const ga_status status = count_devices(count, error); status != GA_OK) return status;
  if (index >= count || index >= kMaxDevices)
    return refuse(error, GA_UNAVAILABLE, "device_index is %d, but there %s %d CUDA device%s", index,
                  count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
  if (const ga_status status = failed_before(index, error); status != GA_OK) return status;
  cudaDeviceProp properties;
  const cudaError_t result = cudaGetDeviceProperties(&properties, index);
  if (result != cudaSuccess) return outcome(index, result, error, "asking for the properties");
  const int capability = 10 * properties.major + properties.minor;
  if (capability < kOldest)
    return refuse(error, GA_UNAVAILABLE,
                  "CUDA device %d (%s) has compute capability %d.%d, but the kernels need %d.%d or later", index,
                  properties.name, properties.major, properties.minor, kOldest / 10, kOldest % 10);
  const DeviceFacts facts = {index, capability, properties.multiProcessorCount,
                             attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, index), properties.l2CacheSize};
  void *memory = std::malloc(sizeof(CudaDevice));
  if (!memory) return refuse(error, GA_OUT_OF_MEMORY, "the system has no memory left");
  auto *opened = new (memory) CudaDevice(facts, properties.name, static_cast<int64_t>(properties.totalGlobalMem));
  // Begins CUDA's own state on the device: seconds at the first time, so not left to the first call.
  const Current current(*opened, error);
  ga_status status = current.status();
  if (status == GA_OK)
    status =
        outcome(index, cudaStreamCreateWithFlags(&opened->service, cudaStreamNonBlocking), error, "opening the device");
  if (status != GA_OK)
    std::free(opened);
  else
    *device = opened;
  return status;
}

void close(CudaDevice *device) {
  ga_error ignored;
  {
    const Current current(*device, &ignored);
    if (current.status() == GA_OK) {
      cudaDeviceSynchronize();
      device->scratch.free_all();
      cudaStreamDestroy(device->service);
      cudaGetLastError();
    }
  }
  std::free(device);
}

ga_status query(CudaDevice *device, ga_runtime_info *info, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  size_t free_bytes = 0, total = 0;
  const ga_status status =
      outcome(device->facts.index, cudaMemGetInfo(&free_bytes, &total), error, "asking for the free memory");
  if (status != GA_OK) return status;
  info->workspace_bytes = device->scratch.bytes_held();
  info->device_index = device->facts.index;
  info->compute_capability = device->facts.compute_capability;
  info->multiprocessors = device->facts.multiprocessors;
  cudaDriverGetVersion(&info->driver_version);
  cudaRuntimeGetVersion(&info->runtime_version);
  info->memory_bytes = device->memory_bytes;
  info->free_bytes = static_cast<int64_t>(free_bytes);
  std::snprintf(info->device_name, sizeof info->device_name, "%s", device->name);
  return GA_OK;
}

}  // namespace ga::cuda
