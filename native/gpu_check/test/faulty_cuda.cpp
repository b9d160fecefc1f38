// The fake library of the CUDA kernels with one fault, which GA_PLANTED_FAULT names: gpu_check must find it.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/cuda_backend.h"

namespace ga {
namespace {

const CudaBackend *sound() {
  static const CudaBackend *const backend = [] {
    void *library = dlopen(GA_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
    void *function = library ? dlsym(library, kCudaBackendSymbol) : nullptr;
    if (!function) {
      std::fprintf(stderr, "%s\n", dlerror());
      std::abort();
    }
    return reinterpret_cast<CudaBackendFunction *>(function)();
  }();
  return backend;
}

const std::string &fault() {
  static const std::string name = std::getenv("GA_PLANTED_FAULT") ? std::getenv("GA_PLANTED_FAULT") : "";
  return name;
}

char *last_byte(const View &view, int64_t element) { return view.data + (element + 1) * view.element_bytes - 1; }

ga_status forward(CudaDevice *device, const Problem &p, void *workspace, int64_t workspace_bytes, void *stream,
                  ga_error *error) {
  if (fault() == "skip") return GA_OK;
  const ga_status status = sound()->forward(device, p, workspace, workspace_bytes, stream, error);
  if (status != GA_OK || p.batch == 0 || p.seq_q == 0) return status;
  const int64_t end = (p.cu_seqlens_q.data ? 0 : (p.batch - 1) * p.out.batch) + (p.seq_q - 1) * p.out.sequence +
                      (p.heads_q - 1) * p.out.head + p.head_dim_v;
  static int calls = 0;
  ++calls;
  if (fault() == "value") *last_byte(p.out, end - 1) ^= 0x10;  // the exponent of the very last element
  if (fault() == "beyond") *last_byte(p.out, end) ^= 0x01;
  if (fault() == "before") p.out.data[-1] ^= 0x01;
  if (fault() == "lse" && p.lse.data) *last_byte(p.lse, 0) ^= 0x02;
  if (fault() == "input") *p.k.data ^= 0x01;
  if (fault() == "bits" && calls % 2 == 0) *p.out.data ^= 0x01;  // within every bound
  if (fault() == "workspace" && workspace) static_cast<char *>(workspace)[workspace_bytes] ^= 0x01;
  return status;
}

}  // namespace
}  // namespace ga

extern "C" __attribute__((visibility("default"))) const ga::CudaBackend *ga_cuda_backend() noexcept {
  static const ga::CudaBackend backend = [] {
    ga::CudaBackend faulty = *ga::sound();
    faulty.forward = ga::forward;
    return faulty;
  }();
  return &backend;
}
