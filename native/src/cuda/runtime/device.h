// One opened device, and the ways into it. Whoever calls keeps his own current device and mode of capture.
#pragma once

#include <cstdio>

#include "core/cuda_backend.h"
#include "cuda/family.h"
#include "cuda/runtime/failure.h"
#include "cuda/runtime/scratch.h"

namespace ga {

struct CudaDevice {
  CudaDevice(const cuda::DeviceFacts &known, const char *device_name, int64_t memory)
      : facts(known), memory_bytes(memory), scratch(known.index) {
    std::snprintf(name, sizeof name, "%.63s", device_name);
  }

  const cuda::DeviceFacts facts;
  const int64_t memory_bytes;
  char name[64];
  cudaStream_t service = nullptr;  // for work of the runtime itself
  cuda::Scratch scratch;
};

}  // namespace ga

namespace ga::cuda {

// Makes the device current for this thread, and puts back what was; no call within is refused for a capture of another stream.
class Current {
 public:
  Current(const CudaDevice &device, ga_error *error);
  ~Current();
  Current(const Current &) = delete;
  Current &operator=(const Current &) = delete;
  ga_status status() const { return status_; }  // GA_OK, or what the error holds

 private:
  int before_ = -1;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
  ga_status status_;
};

ga_status open(int32_t index, CudaDevice **device, ga_error *error);
void close(CudaDevice *device);
ga_status query(CudaDevice *device, ga_runtime_info *info, ga_error *error);

}  // namespace ga::cuda
