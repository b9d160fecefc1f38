// A CUDA run time of memory of the host, for tests of what surrounds the kernels: devices, streams and captures are what the
// test says, and every call can be made to fail.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace gatest::cudart {

struct State {
  int driver_version = 13000;
  int devices = 2;
  cudaError_t count_error = cudaSuccess;  // of cudaGetDeviceCount
  int major = 9, minor = 0;
  int64_t memory_bytes = 1 << 20;  // of each device

  bool capturing = false;                // every stream that is asked about
  cudaError_t next_error = cudaSuccess;  // of the next call that touches a device

  int current_device = 0;
  cudaStreamCaptureMode capture_mode = cudaStreamCaptureModeGlobal;
  int64_t used_bytes = 0, allocations = 0, frees = 0, synchronizations = 0;
};

State &state();
void reset();  // what is allocated stays

}  // namespace gatest::cudart
