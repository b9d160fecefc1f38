#include "fake_cuda.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "abi/lengths.h"
#include "core/cuda_backend.h"
#include "core/dispatch.h"
#include "core/sequence.h"
#include "core/thread_pool.h"

namespace ga {

namespace scalar {
extern const Kernels kernels;
}

struct CudaDevice {
  int32_t index;
};

namespace {

constexpr int32_t kDevices = 2;

struct State {
  std::mutex mutex;
  bool trusted = false;
  int64_t capacity = int64_t{1} << 30, used = 0, calls = 0;
  bool breaks[kDevices] = {};
  std::string failed[kDevices];
  std::string refusal;
  struct Memory {
    int64_t bytes;
    int32_t device;  // -1: pinned
  };
  std::map<uintptr_t, Memory> memory;
  std::set<void *> streams;
  void *last_stream = nullptr;
};

State &state() {
  static State s;
  return s;
}

ga_status refuse(ga_error *error, ga_status status, const std::string &sentence) {
  error->status = status;
  std::snprintf(error->message, sizeof error->message, "%s", sentence.c_str());
  return status;
}

// Under the lock.
ga_status usable(const CudaDevice *device, ga_error *error) {
  const std::string &cause = state().failed[device->index];
  if (cause.empty()) return GA_OK;
  return refuse(error, GA_DEVICE_FAILED, "CUDA device " + std::to_string(device->index) + " has failed: " + cause);
}

ga_status usable(const CudaDevice *device, void *stream, const char *what, ga_error *error) {
  State &s = state();
  if (s.breaks[device->index]) {
    s.breaks[device->index] = false;
    if (s.failed[device->index].empty()) s.failed[device->index] = std::string(what) + " gave an illegal memory access";
  }
  if (const ga_status status = usable(device, error); status != GA_OK) return status;
  if (stream && s.streams.count(stream) == 0) return refuse(error, GA_INVALID_ARGUMENT, "the stream is not open");
  return GA_OK;
}

ga_status open(int32_t index, CudaDevice **device, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (!state().refusal.empty()) return refuse(error, GA_UNAVAILABLE, state().refusal);
  if (index >= kDevices)
    return refuse(error, GA_UNAVAILABLE, "device_index is " + std::to_string(index) + ", but there are 2 CUDA devices");
  *device = new CudaDevice{index};
  return GA_OK;
}

void close(CudaDevice *device) { delete device; }

ga_status query(CudaDevice *device, ga_runtime_info *info, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (const ga_status status = usable(device, error); status != GA_OK) return status;
  info->device_index = device->index;
  info->compute_capability = 90;
  info->multiprocessors = 132;
  info->driver_version = info->runtime_version = 13000;
  info->memory_bytes = state().capacity;
  info->free_bytes = state().capacity - state().used;
  std::snprintf(info->device_name, sizeof info->device_name, "Fake device");
  return GA_OK;
}

// Under the lock.
Place place_of(const CudaDevice *device, const void *memory) {
  State &s = state();
  if (s.trusted) return Place::kDevice;
  const auto address = reinterpret_cast<uintptr_t>(memory);
  auto after = s.memory.upper_bound(address);
  if (after == s.memory.begin()) return Place::kHost;
  const auto &[start, block] = *--after;
  if (address >= start + static_cast<uintptr_t>(block.bytes) || block.device < 0) return Place::kHost;
  return block.device == device->index ? Place::kDevice : Place::kOtherDevice;
}

int misplaced(CudaDevice *device, const void *const *addresses, int count, Place *place) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  for (int i = 0; i < count; i++) {
    if (!addresses[i]) continue;
    *place = place_of(device, addresses[i]);
    if (*place != Place::kDevice) return i;
  }
  return count;
}

ga_status plan(CudaDevice *, const Problem &p, ga_attention_plan *plan, ga_error *) {
  plan->query_block = 64;
  plan->key_block = 128;
  plan->tasks = p.batch * p.heads_q;
  plan->workspace_bytes = 4096;
  std::snprintf(plan->kernel, sizeof plan->kernel, "fake_d%d", p.head_dim);
  return GA_OK;
}

ga_status forward(CudaDevice *device, const Problem &p, void *workspace, int64_t workspace_bytes, void *stream,
                  ga_error *error) {
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const ga_status status = usable(device, stream, "forward", error); status != GA_OK) return status;
    state().calls++;
    state().last_stream = stream;
  }
  if (workspace && workspace_bytes < 4096)
    return refuse(error, GA_INVALID_ARGUMENT,
                  "workspace_bytes is " + std::to_string(workspace_bytes) + ", but the call needs 4096");
  Schedule s;
  if (!make_schedule(p, scalar::kernels.geometry, 1, s)) return refuse(error, GA_UNSUPPORTED, "too large");
  ThreadPool pool(1);
  char *scratch = static_cast<char *>(std::aligned_alloc(64, round_up(ga::workspace_bytes(s, 1) + 64, 64)));
  if (make_parts(p, scalar::kernels.geometry, 1, s, scratch)) ga::forward(p, s, scalar::kernels, pool, scratch);
  std::free(scratch);
  return GA_OK;
}

ga_status merge(CudaDevice *device, const Merge &m, void *stream, ga_error *error) {
  {
    const std::lock_guard<std::mutex> lock(state().mutex);
    if (const ga_status status = usable(device, stream, "merge", error); status != GA_OK) return status;
    state().calls++;
    state().last_stream = stream;
  }
  ThreadPool pool(1);
  ga::merge(m, scalar::kernels, pool);
  return GA_OK;
}

// f32 alone: what arrives is what is tested.
ga_status project(CudaDevice *device, const Projection &p, void *stream, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (const ga_status status = usable(device, stream, "project", error); status != GA_OK) return status;
  state().calls++;
  state().last_stream = stream;
  if (p.in.dtype != GA_F32) return refuse(error, GA_UNSUPPORTED, "the fake device projects f32 alone");
  const auto at = [](const View &view, int64_t row, int64_t column) {
    return reinterpret_cast<float *>(view.at(0, row, 0)) + column;
  };
  for (int64_t row = 0; row < p.rows; row++)
    for (int64_t o = 0; o < p.out_features; o++) {
      float sum = p.bias.data ? *at(p.bias, 0, o) : 0;
      for (int64_t i = 0; i < p.in_features; i++) sum += *at(p.in, row, i) * *at(p.weight, o, i);
      *at(p.out, row, o) = sum;
    }
  return GA_OK;
}

ga_status allocate(CudaDevice *device, ga_memory kind, int64_t bytes, void **memory, ga_error *error) {
  State &s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  if (const ga_status status = usable(device, error); status != GA_OK) return status;
  const bool pinned = kind == GA_MEMORY_PINNED;
  if (!pinned && bytes > s.capacity - s.used)
    return refuse(error, GA_OUT_OF_MEMORY,
                  "allocating " + std::to_string(bytes) + " bytes on CUDA device " + std::to_string(device->index) +
                      " failed: out of memory");
  *memory = std::aligned_alloc(256, static_cast<size_t>(round_up(bytes, 256)));
  std::memset(*memory, 0, static_cast<size_t>(bytes));
  s.memory[reinterpret_cast<uintptr_t>(*memory)] = {bytes, pinned ? -1 : device->index};
  if (!pinned) s.used += bytes;
  return GA_OK;
}

ga_status free_memory(CudaDevice *device, void *memory, ga_error *error) {
  State &s = state();
  const std::lock_guard<std::mutex> lock(s.mutex);
  if (const ga_status status = usable(device, error); status != GA_OK) return status;
  const auto found = s.memory.find(reinterpret_cast<uintptr_t>(memory));
  if (found == s.memory.end()) return refuse(error, GA_INVALID_ARGUMENT, "memory was not allocated here");
  if (found->second.device >= 0) s.used -= found->second.bytes;
  s.memory.erase(found);
  std::free(memory);
  return GA_OK;
}

ga_status copy(CudaDevice *device, void *to, const void *from, int64_t bytes, void *stream, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (const ga_status status = usable(device, stream, "copy", error); status != GA_OK) return status;
  std::memcpy(to, from, static_cast<size_t>(bytes));
  return GA_OK;
}

ga_status stream_open(CudaDevice *device, void **stream, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (const ga_status status = usable(device, error); status != GA_OK) return status;
  *stream = std::malloc(1);
  state().streams.insert(*stream);
  return GA_OK;
}

ga_status stream_close(CudaDevice *device, void *stream, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  if (const ga_status status = usable(device, stream, "closing", error); status != GA_OK) return status;
  state().streams.erase(stream);
  std::free(stream);
  return GA_OK;
}

ga_status stream_synchronize(CudaDevice *device, void *stream, ga_error *error) {
  const std::lock_guard<std::mutex> lock(state().mutex);
  return usable(device, stream, "synchronize", error);
}

constexpr CudaBackend kBackend = {GA_BUILD_STAMP, open,    close,       query,        misplaced,
                                  plan,           forward, merge,       project,      allocate,
                                  free_memory,    copy,    stream_open, stream_close, stream_synchronize};

}  // namespace
}  // namespace ga

extern "C" {

__attribute__((visibility("default"))) const ga::CudaBackend *ga_cuda_backend() noexcept { return &ga::kBackend; }

#define GA_TEST_EXPORT __attribute__((visibility("default")))

GA_TEST_EXPORT void fake_cuda_trust(int32_t all) { ga::state().trusted = all; }
GA_TEST_EXPORT void fake_cuda_memory(int64_t bytes) { ga::state().capacity = bytes; }
GA_TEST_EXPORT void fake_cuda_break(int32_t device) { ga::state().breaks[device] = true; }
GA_TEST_EXPORT void fake_cuda_repair() {
  for (std::string &cause : ga::state().failed) cause.clear();
}
GA_TEST_EXPORT void fake_cuda_refuse(const char *reason) { ga::state().refusal = reason ? reason : ""; }
GA_TEST_EXPORT int64_t fake_cuda_calls() { return ga::state().calls; }
GA_TEST_EXPORT void *fake_cuda_last_stream() { return ga::state().last_stream; }
GA_TEST_EXPORT int64_t fake_cuda_open_handles() {
  return static_cast<int64_t>(ga::state().memory.size() + ga::state().streams.size());
}
}
