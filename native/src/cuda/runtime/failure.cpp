#include "cuda/runtime/failure.h"

#include <pthread.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace ga::cuda {
namespace {

struct Failure {
  std::atomic<bool> there{false};
  char cause[400];
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Failure failures[kMaxDevices];  // all zero: no constructor runs at load time

// The context is lost: every later call of this process would give the same error.
bool is_final(cudaError_t e) {
  switch (e) {
    case cudaErrorIllegalAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorExternalDevice:
    case cudaErrorContextIsDestroyed:
#if CUDART_VERSION >= 13000
    case cudaErrorContained:
    case cudaErrorTensorMemoryLeak:
#endif
    case cudaErrorUnknown: return true;
    default: return false;
  }
}

ga_status status_of(cudaError_t e) {
  switch (e) {
    case cudaErrorMemoryAllocation: return GA_OUT_OF_MEMORY;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidResourceHandle:
    case cudaErrorInvalidDevicePointer:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureImplicit: return GA_INVALID_ARGUMENT;
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice:
    case cudaErrorDevicesUnavailable: return GA_UNAVAILABLE;
    case cudaErrorNoKernelImageForDevice: return GA_UNSUPPORTED;
    default: return GA_INTERNAL;
  }
}

}  // namespace

ga_status refuse(ga_error *error, ga_status status, const char *format, ...) {
  error->status = status;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error->message, sizeof error->message, format, arguments);
  va_end(arguments);
  return status;
}

ga_status failed_before(int device, ga_error *error) {
  const Failure &failure = failures[device];
  if (!failure.there.load(std::memory_order_acquire)) return GA_OK;
  return refuse(error, GA_DEVICE_FAILED, "CUDA device %d has failed, and only a new process can use it: %s", device,
                failure.cause);
}

ga_status outcome(int device, cudaError_t result, ga_error *error, const char *action) {
  if (result == cudaSuccess) return GA_OK;
  cudaGetLastError();  // else the next launch of this thread would find it
  if (!is_final(result))
    return refuse(error, status_of(result), "%s on CUDA device %d failed: %s (%s)", action, device,
                  cudaGetErrorString(result), cudaGetErrorName(result));
  Failure &failure = failures[device];
  pthread_mutex_lock(&mutex);
  if (!failure.there.load(std::memory_order_relaxed)) {
    std::snprintf(failure.cause, sizeof failure.cause, "%s, or work enqueued before it, gave %s (%s)", action,
                  cudaGetErrorString(result), cudaGetErrorName(result));
    failure.there.store(true, std::memory_order_release);
  }
  pthread_mutex_unlock(&mutex);
  return failed_before(device, error);
}

}  // namespace ga::cuda
