// The only export of libgatedattention_cuda.so.
#include "core/cuda_backend.h"
#include "cuda/runtime/device.h"
#include "cuda/runtime/dispatch.h"
#include "cuda/runtime/memory.h"
#include "cuda/runtime/project.h"

namespace ga::cuda {
namespace {

constexpr CudaBackend kBackend = {
    GA_BUILD_STAMP, open, close,       query,        misplaced,          plan, forward, merge, project, allocate,
    free_memory,    copy, stream_open, stream_close, stream_synchronize,
};

}  // namespace
}  // namespace ga::cuda

extern "C" __attribute__((visibility("default"))) const ga::CudaBackend *ga_cuda_backend() noexcept {
  return &ga::cuda::kBackend;
}
