#include "core/cuda_library.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstdlib>
#include <cstring>

namespace ga {
namespace {

// A path that was opened once is not looked up again: its file may be gone, or be another's, by then.
struct Opened {
  Opened *next;
  const CudaBackend *backend;
  char path[1];  // as long as it is
};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Opened *opened = nullptr;

class Lock {
 public:
  Lock() { pthread_mutex_lock(&mutex); }
  ~Lock() { pthread_mutex_unlock(&mutex); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;
};

// The path of the library in the folder of this one; false where that is not known or too long.
bool beside_this_library(char *path, size_t size) {
  Dl_info info;
  if (!dladdr(&mutex, &info) || !info.dli_fname) return false;
  const char *slash = std::strrchr(info.dli_fname, '/');
  if (!slash) return false;
  const int length =
      std::snprintf(path, size, "%.*s/%s", static_cast<int>(slash - info.dli_fname), info.dli_fname, kCudaLibraryName);
  return length > 0 && static_cast<size_t>(length) < size;
}

const CudaBackend *remember(const char *path, const CudaBackend *backend) {
  const size_t length = std::strlen(path);
  auto *entry = static_cast<Opened *>(std::malloc(sizeof(Opened) + length));
  if (entry) {  // else it is opened once more next time
    entry->next = opened;
    entry->backend = backend;
    std::memcpy(entry->path, path, length + 1);
    opened = entry;
  }
  return backend;
}

const CudaBackend *backend_of(void *library, const char *path, Refusal &no) {
  auto *function = reinterpret_cast<CudaBackendFunction *>(dlsym(library, kCudaBackendSymbol));
  if (!function) {
    no.with(GA_UNAVAILABLE, "%s exports no %s; name the %s of this build", path, kCudaBackendSymbol, kCudaLibraryName);
    return nullptr;
  }
  const CudaBackend *backend = function();
  if (std::strcmp(backend->build_stamp, GA_BUILD_STAMP) == 0) return backend;
  no.with(GA_UNAVAILABLE, "%s is of build %s, but this library is of build %s; use two of the same build", path,
          backend->build_stamp, GA_BUILD_STAMP);
  return nullptr;
}

}  // namespace

const CudaBackend *open_cuda_library(const char *path, Refusal &no) {
  const Lock lock;
  const char *key = path ? path : "";
  for (const Opened *o = opened; o; o = o->next)
    if (std::strcmp(o->path, key) == 0) return o->backend;

  constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;
  if (path) {
    if (void *library = dlopen(path, kFlags)) {
      const CudaBackend *backend = backend_of(library, path, no);
      return backend ? remember(key, backend) : nullptr;
    }
    no.with(GA_UNAVAILABLE, "the library of the CUDA kernels was not opened: %s", dlerror());
    return nullptr;
  }
  char beside[1024];
  const bool known = beside_this_library(beside, sizeof beside);
  void *library = known ? dlopen(beside, kFlags) : nullptr;
  const char *found = beside;
  if (!library) {
    library = dlopen(kCudaLibraryName, kFlags);
    found = kCudaLibraryName;
  }
  if (library) {
    const CudaBackend *backend = backend_of(library, found, no);
    return backend ? remember(key, backend) : nullptr;
  }
  no.with(GA_UNAVAILABLE,
          "the library of the CUDA kernels was found neither at %s nor where the system's loader looks: %s",
          known ? beside : "(the folder of this library, which is not known)", dlerror());
  return nullptr;
}

}  // namespace ga
