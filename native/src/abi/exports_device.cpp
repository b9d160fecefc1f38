// The door of devices: their memory, streams and projections.
#include <cinttypes>

#include "abi/device_calls.h"
#include "abi/open_runtime.h"
#include "abi/validate_project.h"

namespace ga {
namespace {

bool passed(ga_status status, const ga_error &error, Refusal &no) {
  return status == GA_OK || no.with(status, "%s", error.message);
}

// A runtime of a device for the length of a call.
class OpenDevice {
 public:
  OpenDevice(ga_runtime handle, const char *what, Refusal &no) : runtime_(handle, no) {
    if (runtime_.get() && !runtime_.get()->device)
      no.with(GA_UNSUPPORTED, "%s is for devices, but the runtime is of the CPU", what);
    else
      usable_ = runtime_.get();
  }
  const Runtime &runtime() const { return *usable_; }
  const CudaBackend &cuda() const { return *usable_->cuda; }
  CudaDevice *device() const { return usable_->device; }
  explicit operator bool() const { return usable_; }  // false: refused

 private:
  const OpenRuntime runtime_;
  const Runtime *usable_ = nullptr;
};

bool allocate(ga_runtime runtime, ga_memory kind, int64_t bytes, void **memory, Refusal &no) {
  if (!memory) return no.invalid("memory is NULL");
  if (kind != GA_MEMORY_DEVICE && kind != GA_MEMORY_PINNED)
    return no.invalid("kind is %d; it must be %d (of the device) or %d (pinned)", kind, GA_MEMORY_DEVICE,
                      GA_MEMORY_PINNED);
  if (bytes < 1 || bytes > INT64_C(1) << 56) return no.invalid("bytes is %" PRId64 "; it must be from 1 to 2^56", bytes);
  const OpenDevice open(runtime, "ga_memory_allocate", no);
  if (!open) return false;
  ga_error error;
  void *allocated = nullptr;
  if (!passed(open.cuda().allocate(open.device(), kind, bytes, &allocated, &error), error, no)) return false;
  *memory = allocated;
  return true;
}

bool free_memory(ga_runtime runtime, void *memory, Refusal &no) {
  const OpenDevice open(runtime, "ga_memory_free", no);
  if (!open) return false;
  if (!memory) return no.invalid("memory is NULL");
  ga_error error;
  return passed(open.cuda().free(open.device(), memory, &error), error, no);
}

bool copy(ga_runtime runtime, void *to, const void *from, int64_t bytes, void *stream, Refusal &no) {
  const OpenDevice open(runtime, "ga_memory_copy", no);
  if (!open) return false;
  if (bytes < 0 || bytes > INT64_C(1) << 56) return no.invalid("bytes is %" PRId64 "; it must be from 0 to 2^56", bytes);
  if (bytes == 0) return true;
  if (!to || !from) return no.invalid("%s is NULL, but %" PRId64 " bytes are to be copied", to ? "from" : "to", bytes);
  const auto a = reinterpret_cast<uintptr_t>(to), b = reinterpret_cast<uintptr_t>(from);
  if (a < b + static_cast<uintptr_t>(bytes) && b < a + static_cast<uintptr_t>(bytes))
    return no.invalid("to (at %p) and from (at %p) overlap in %" PRId64 " bytes", to, from, bytes);
  ga_error error;
  return passed(open.cuda().copy(open.device(), to, from, bytes, stream, &error), error, no);
}

bool open_stream(ga_runtime runtime, void **stream, Refusal &no) {
  const OpenDevice open(runtime, "ga_stream_open", no);
  if (!open) return false;
  if (!stream) return no.invalid("stream is NULL");
  ga_error error;
  void *opened = nullptr;
  if (!passed(open.cuda().stream_open(open.device(), &opened, &error), error, no)) return false;
  *stream = opened;
  return true;
}

bool close_stream(ga_runtime runtime, void *stream, Refusal &no) {
  const OpenDevice open(runtime, "ga_stream_close", no);
  if (!open) return false;
  if (!stream) return no.invalid("stream is NULL, the default one, which stays open");
  ga_error error;
  return passed(open.cuda().stream_close(open.device(), stream, &error), error, no);
}

bool synchronize(ga_runtime runtime, void *stream, Refusal &no) {
  const OpenDevice open(runtime, "ga_stream_synchronize", no);
  ga_error error;
  return open && passed(open.cuda().stream_synchronize(open.device(), stream, &error), error, no);
}

bool project(ga_runtime runtime, const ga_project_params *params, Refusal &no) {
  const OpenDevice open(runtime, "ga_project", no);
  Projection p = {};
  void *stream = nullptr;
  if (!open || !check_projection(params, p, stream, no)) return false;
  return project_on_device(open.runtime(), p, stream, no);
}

}  // namespace
}  // namespace ga

extern "C" {

ga_status ga_memory_allocate(ga_runtime runtime, ga_memory kind, int64_t bytes, void **memory, ga_error *error) noexcept {
  ga::Refusal no;
  ga::allocate(runtime, kind, bytes, memory, no);
  return no.report(error);
}

ga_status ga_memory_free(ga_runtime runtime, void *memory, ga_error *error) noexcept {
  ga::Refusal no;
  ga::free_memory(runtime, memory, no);
  return no.report(error);
}

ga_status ga_memory_copy(ga_runtime runtime, void *to, const void *from, int64_t bytes, void *stream, ga_error *error,
                         const void *, const void *) noexcept {
  ga::Refusal no;
  ga::copy(runtime, to, from, bytes, stream, no);
  return no.report(error);
}

ga_status ga_stream_open(ga_runtime runtime, void **stream, ga_error *error) noexcept {
  ga::Refusal no;
  ga::open_stream(runtime, stream, no);
  return no.report(error);
}

ga_status ga_stream_close(ga_runtime runtime, void *stream, ga_error *error) noexcept {
  ga::Refusal no;
  ga::close_stream(runtime, stream, no);
  return no.report(error);
}

ga_status ga_stream_synchronize(ga_runtime runtime, void *stream, ga_error *error) noexcept {
  ga::Refusal no;
  ga::synchronize(runtime, stream, no);
  return no.report(error);
}

ga_status ga_project(ga_runtime runtime, const ga_project_params *params, ga_error *error, const void *, const void *,
                     const void *, const void *) noexcept {
  ga::Refusal no;
  ga::project(runtime, params, no);
  return no.report(error);
}

}  // extern "C"
