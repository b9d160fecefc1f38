// What libgatedattention_cuda.so gives to libgatedattention.so: a table of functions, its only export. Everything that comes
// this way was checked at the door; both libraries are of one build, so the types between them need no stable layout.
#pragma once

#include "core/problem.h"

namespace ga {

struct CudaDevice;   // an opened device with its scratch memory: one per runtime
struct Projection {  // out = in * weight^T + bias
  int64_t rows;
  int32_t in_features, out_features;
  View in, weight, bias, out;  // the stride between rows is `sequence`; bias.data == nullptr: absent
};

enum class Place { kDevice, kHost, kOtherDevice };

// Each returns GA_OK, or fills the error. A stream is a cudaStream_t, nullptr the default one.
struct CudaBackend {
  // First, whatever the rest of the table has become: it must equal that of the library that asks.
  const char *build_stamp;

  ga_status (*open)(int32_t index, CudaDevice **device, ga_error *error);
  void (*close)(CudaDevice *device);  // waits for its work
  ga_status (*query)(CudaDevice *device, ga_runtime_info *info, ga_error *error);
  // Which address is the first that is not in the device's memory, and where it is instead; count: none is. Those that are
  // nullptr do not count.
  int (*misplaced)(CudaDevice *device, const void *const *addresses, int count, Place *place);

  // Fills kernel, blocks, tasks and scratch.
  ga_status (*plan)(CudaDevice *device, const Problem &p, ga_attention_plan *plan, ga_error *error);
  // workspace == nullptr: of the device, for the stream.
  ga_status (*forward)(CudaDevice *device, const Problem &p, void *workspace, int64_t workspace_bytes, void *stream,
                       ga_error *error);
  ga_status (*merge)(CudaDevice *device, const Merge &m, void *stream, ga_error *error);
  ga_status (*project)(CudaDevice *device, const Projection &p, void *stream, ga_error *error);

  ga_status (*allocate)(CudaDevice *device, ga_memory kind, int64_t bytes, void **memory, ga_error *error);
  ga_status (*free)(CudaDevice *device, void *memory, ga_error *error);
  ga_status (*copy)(CudaDevice *device, void *to, const void *from, int64_t bytes, void *stream, ga_error *error);
  ga_status (*stream_open)(CudaDevice *device, void **stream, ga_error *error);
  ga_status (*stream_close)(CudaDevice *device, void *stream, ga_error *error);
  ga_status (*stream_synchronize)(CudaDevice *device, void *stream, ga_error *error);
};

constexpr const char *kCudaLibraryName = "libgatedattention_cuda.so";
constexpr const char *kCudaBackendSymbol = "ga_cuda_backend";
using CudaBackendFunction = const CudaBackend *() noexcept;

}  // namespace ga
