#include "cuda/runtime/cublaslt.h"

#include <dlfcn.h>
#include <pthread.h>

#include <cstdio>

#include "cuda/runtime/failure.h"

namespace ga::cuda::lt {
namespace {

constexpr const char *kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12"};

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
Functions known;
bool complete = false;

template <class Function>
bool find(void *library, const char *name, Function *&function) {
  function = reinterpret_cast<Function *>(dlsym(library, name));
  return function;
}

bool find_all(void *library) {
  return find(library, "cublasLtCreate", known.create) &&
         find(library, "cublasLtMatmulDescCreate", known.matmul_create) &&
         find(library, "cublasLtMatmulDescDestroy", known.matmul_destroy) &&
         find(library, "cublasLtMatmulDescSetAttribute", known.matmul_set) &&
         find(library, "cublasLtMatrixLayoutCreate", known.layout_create) &&
         find(library, "cublasLtMatrixLayoutDestroy", known.layout_destroy) &&
         find(library, "cublasLtMatmulPreferenceCreate", known.preference_create) &&
         find(library, "cublasLtMatmulPreferenceDestroy", known.preference_destroy) &&
         find(library, "cublasLtMatmulPreferenceSetAttribute", known.preference_set) &&
         find(library, "cublasLtMatmulAlgoGetHeuristic", known.heuristic) &&
         find(library, "cublasLtMatmul", known.matmul);
}

ga_status open(ga_error *error) {
  char searched[300];
  int length = 0;
  for (const char *name : kNames) {
    if (void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
      complete = find_all(library);
      if (complete) return GA_OK;
      return refuse(error, GA_UNAVAILABLE, "%s lacks functions of cuBLASLt; install that of CUDA 12 or 13", name);
    }
    const char *reason = dlerror();
    length += std::snprintf(searched + length, sizeof searched - static_cast<size_t>(length), "%s%.140s",
                            length ? "; " : "", reason ? reason : name);
  }
  return refuse(error, GA_UNAVAILABLE,
                "projections need cuBLASLt, but neither %s nor %s was found where the system's loader"
                " looks (%s)",
                kNames[0], kNames[1], searched);
}

}  // namespace

ga_status functions(const Functions **found, ga_error *error) {
  pthread_mutex_lock(&mutex);
  const ga_status status = complete ? GA_OK : open(error);
  pthread_mutex_unlock(&mutex);
  *found = &known;
  return status;
}

}  // namespace ga::cuda::lt
