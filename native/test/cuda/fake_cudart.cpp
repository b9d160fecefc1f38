#include "fake_cudart.h"

#include <cstdlib>
#include <cstring>
#include <map>

namespace gatest::cudart {
namespace {

struct Block {
  int64_t bytes;
  int device;
  cudaMemoryType type;
};

std::map<const void *, Block> &blocks() {
  static std::map<const void *, Block> all;
  return all;
}

std::map<cudaStream_t, unsigned long long> &streams() {
  static std::map<cudaStream_t, unsigned long long> all = {{nullptr, 1}};
  return all;
}

// What the test wants the call to give, once.
cudaError_t touch() {
  const cudaError_t error = state().next_error;
  state().next_error = cudaSuccess;
  return error;
}

}  // namespace

State &state() {
  static State s;
  return s;
}

void reset() { state() = State{}; }

}  // namespace gatest::cudart

using namespace gatest::cudart;

extern "C" {

const char *cudaGetErrorString(cudaError_t) { return "what CUDA says"; }
const char *cudaGetErrorName(cudaError_t e) {
  return e == cudaErrorIllegalAddress     ? "cudaErrorIllegalAddress"
         : e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation"
                                          : "cudaErrorOther";
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int *version) {
  *version = state().driver_version;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count) {
  *count = state().devices;
  return state().count_error;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int) {
  *properties = {};
  std::strcpy(properties->name, "A device");
  properties->major = state().major;
  properties->minor = state().minor;
  properties->multiProcessorCount = 132;
  properties->totalGlobalMem = static_cast<size_t>(state().memory_bytes);
  return touch();
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int) {
  *value = 227 * 1024;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int *device) {
  *device = state().current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  state().current_device = device;
  return cudaSuccess;
}
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
  const cudaStreamCaptureMode before = state().capture_mode;
  state().capture_mode = *mode;
  *mode = before;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
  *total = static_cast<size_t>(state().memory_bytes);
  *free_bytes = static_cast<size_t>(state().memory_bytes - state().used_bytes);
  return touch();
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
  if (const cudaError_t error = touch(); error != cudaSuccess) return error;
  if (static_cast<int64_t>(bytes) > state().memory_bytes - state().used_bytes) return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*memory, 0x5a, bytes);
  blocks()[*memory] = {static_cast<int64_t>(bytes), state().current_device, cudaMemoryTypeDevice};
  state().used_bytes += static_cast<int64_t>(bytes);
  state().allocations++;
  return cudaSuccess;
}
cudaError_t cudaFree(void *memory) {
  if (const cudaError_t error = touch(); error != cudaSuccess || !memory) return error;
  const auto found = blocks().find(memory);
  if (found == blocks().end()) return cudaErrorInvalidValue;
  if (found->second.type == cudaMemoryTypeDevice) state().used_bytes -= found->second.bytes;
  blocks().erase(found);
  std::free(memory);
  state().frees++;
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned int) {
  if (const cudaError_t error = touch(); error != cudaSuccess) return error;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  blocks()[*memory] = {static_cast<int64_t>(bytes), 0, cudaMemoryTypeHost};
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void *memory) { return cudaFree(memory); }
cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t) {
  std::memset(memory, value, bytes);
  return touch();
}
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (const cudaError_t error = touch(); error != cudaSuccess) return error;
  std::memcpy(to, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *attributes, const void *address) {
  *attributes = {};
  attributes->type = cudaMemoryTypeUnregistered;
  auto after = blocks().upper_bound(address);
  if (after == blocks().begin()) return cudaSuccess;
  const auto &[start, block] = *--after;
  if (static_cast<const char *>(address) >= static_cast<const char *>(start) + block.bytes) return cudaSuccess;
  attributes->type = block.type;
  attributes->device = block.device;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int) {
  if (const cudaError_t error = touch(); error != cudaSuccess) return error;
  static unsigned long long next = 2;
  *stream = static_cast<cudaStream_t>(std::malloc(1));
  streams()[*stream] = next++;
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  streams().erase(stream);
  std::free(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  state().synchronizations++;
  if (const cudaError_t error = touch(); error != cudaSuccess) return error;
  return streams().count(stream) ? cudaSuccess : cudaErrorInvalidResourceHandle;
}
cudaError_t cudaDeviceSynchronize() {
  state().synchronizations++;
  return touch();
}
cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *id) {
  const auto found = streams().find(stream);
  if (found == streams().end()) return cudaErrorInvalidResourceHandle;
  *id = found->second;
  return cudaSuccess;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus *status) {
  *status = state().capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
}
