#include "driver.h"

#include <dlfcn.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

namespace gpu_check {
namespace {

// Of the driver API: every handle is a pointer, every enumeration an int.
using Result = int;
struct Entries {
  Result (*init)(unsigned) = nullptr;
  Result (*error_name)(Result, const char **) = nullptr;
  Result (*device_get)(int *, int) = nullptr;
  Result (*device_attribute)(int *, int, int) = nullptr;
  Result (*context_retain)(void **, int) = nullptr;
  Result (*context_set)(void *) = nullptr;
  Result (*event_create)(void **, unsigned) = nullptr;
  Result (*event_record)(void *, void *) = nullptr;
  Result (*event_synchronize)(void *) = nullptr;
  Result (*event_elapsed)(float *, void *, void *) = nullptr;
  Result (*event_destroy)(void *) = nullptr;
  Result (*capture_begin)(void *, int) = nullptr;
  Result (*capture_end)(void *, void **) = nullptr;
  Result (*graph_instantiate)(void **, void *, unsigned long long) = nullptr;
  Result (*graph_launch)(void *, void *) = nullptr;
  Result (*executable_destroy)(void *) = nullptr;
  Result (*graph_destroy)(void *) = nullptr;
};

Entries entries;

constexpr int kL2CacheSize = 38;  // CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE
constexpr int kCaptureThreadLocal =
    1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: the library under test may not cheat by relaxing it

template <class Function>
bool find(void *library, Function &entry, const char *name) {
  entry = reinterpret_cast<Function>(dlsym(library, name));
  return entry != nullptr;
}

bool find_all(void *library) {
  return find(library, entries.init, "cuInit") && find(library, entries.error_name, "cuGetErrorName") &&
         find(library, entries.device_get, "cuDeviceGet") &&
         find(library, entries.device_attribute, "cuDeviceGetAttribute") &&
         find(library, entries.context_retain, "cuDevicePrimaryCtxRetain") &&
         find(library, entries.context_set, "cuCtxSetCurrent") && find(library, entries.event_create, "cuEventCreate") &&
         find(library, entries.event_record, "cuEventRecord") &&
         find(library, entries.event_synchronize, "cuEventSynchronize") &&
         find(library, entries.event_elapsed, "cuEventElapsedTime") &&
         find(library, entries.event_destroy, "cuEventDestroy_v2") &&
         find(library, entries.capture_begin, "cuStreamBeginCapture_v2") &&
         find(library, entries.capture_end, "cuStreamEndCapture") &&
         find(library, entries.graph_instantiate, "cuGraphInstantiateWithFlags") &&
         find(library, entries.graph_launch, "cuGraphLaunch") &&
         find(library, entries.executable_destroy, "cuGraphExecDestroy") &&
         find(library, entries.graph_destroy, "cuGraphDestroy");
}

void require(Result result, const char *what) {
  if (result == 0) return;
  const char *name = nullptr;
  if (entries.error_name(result, &name) != 0 || !name) name = "an unknown error";
  throw std::runtime_error(std::string(what) + ": " + name);
}

double host_microseconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::micro>(now).count();
}

}  // namespace

Driver::Driver() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (!library)
    absent_ = "there is no libcuda.so.1";
  else if (!find_all(library))
    absent_ = "libcuda.so.1 is older than CUDA 11.4";
  else if (entries.init(0) != 0)
    absent_ = "cuInit failed";
  if (absent_) return;
  int device = 0;
  void *context = nullptr;
  require(entries.device_get(&device, 0), "cuDeviceGet");
  require(entries.context_retain(&context, device), "cuDevicePrimaryCtxRetain");
  require(entries.context_set(context), "cuCtxSetCurrent");
  require(entries.device_attribute(&l2_bytes_, kL2CacheSize, device), "cuDeviceGetAttribute");
}

Timer::Timer(const Driver &driver, void *stream, std::function<void()> synchronize)
    : events_(!driver.absent()), stream_(stream), synchronize_(std::move(synchronize)) {
  if (!events_) return;
  require(entries.event_create(&start_, 0), "cuEventCreate");
  require(entries.event_create(&stop_, 0), "cuEventCreate");
}

Timer::~Timer() {
  if (!events_) return;
  entries.event_destroy(start_);
  entries.event_destroy(stop_);
}

double Timer::microseconds(const std::function<void()> &enqueue) {
  if (!events_) {
    const double start = host_microseconds();
    enqueue();
    synchronize_();
    return host_microseconds() - start;
  }
  require(entries.event_record(start_, stream_), "cuEventRecord");
  enqueue();
  require(entries.event_record(stop_, stream_), "cuEventRecord");
  require(entries.event_synchronize(stop_), "cuEventSynchronize");
  float milliseconds = 0;
  require(entries.event_elapsed(&milliseconds, start_, stop_), "cuEventElapsedTime");
  return static_cast<double>(milliseconds) * 1000;
}

Graph::Graph(void *stream, const std::function<void()> &enqueue) : stream_(stream) {
  require(entries.capture_begin(stream, kCaptureThreadLocal), "cuStreamBeginCapture");
  try {
    enqueue();
  } catch (...) {
    entries.capture_end(stream, &graph_);  // else the stream stays in capture
    if (graph_) entries.graph_destroy(graph_);
    throw;
  }
  require(entries.capture_end(stream, &graph_), "cuStreamEndCapture");
  require(entries.graph_instantiate(&executable_, graph_, 0), "cuGraphInstantiate");
}

Graph::~Graph() {
  if (executable_) entries.executable_destroy(executable_);
  if (graph_) entries.graph_destroy(graph_);
}

void Graph::launch() const { require(entries.graph_launch(executable_, stream_), "cuGraphLaunch"); }

}  // namespace gpu_check
