// What became of CUDA calls: a status and one sentence. A device that has failed stays failed, with its first cause.
#pragma once

#include <cuda_runtime_api.h>

#include "gated_attention.h"

namespace ga::cuda {

constexpr int kMaxDevices = 256;  // whose failures are kept

// Fills the error; returns its status.
[[gnu::format(printf, 3, 4)]] ga_status refuse(ga_error *error, ga_status status, const char *format, ...);

// GA_OK, or what an earlier call failed of: to be asked before every use of a device.
ga_status failed_before(int device, ga_error *error);

// GA_OK for cudaSuccess. action: "copying 64 bytes". Errors after which CUDA gives the device to this process no more are kept.
ga_status outcome(int device, cudaError_t result, ga_error *error, const char *action);

}  // namespace ga::cuda
