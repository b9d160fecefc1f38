// A runtime: a choice of instruction set, threads, and their scratch memory, or a device; and the table that turns the numbers callers
// hold into runtimes, refuses stale ones, and lets a close wait for calls in progress.
#pragma once

#include "core/cpu_features.h"
#include "core/cuda_backend.h"
#include "core/kernels.h"
#include "core/thread_pool.h"
#include "core/workspace.h"

namespace ga {

struct Runtime {
  Runtime(ga_isa isa, int threads_wanted) : kernels(*kernels_for(isa, fetches_to_first_cache())), pool(threads_wanted) {}

  const Kernels &kernels;
  ThreadPool pool;
  WorkspacePool workspaces;

  // Of a CUDA device: calls are its own, and the above idles.
  const CudaBackend *cuda = nullptr;
  CudaDevice *device = nullptr;
};

Runtime *make_runtime(ga_isa isa, int threads);  // nullptr: out of memory
void delete_runtime(Runtime *runtime);

ga_runtime publish(Runtime *runtime);  // 0 when the table is full
Runtime *retire(ga_runtime handle);    // nullptr: not open. Waits for calls in progress; the caller deletes it

// A runtime kept from being retired for as long as this lives.
class RuntimeUse {
 public:
  explicit RuntimeUse(ga_runtime handle);
  ~RuntimeUse();
  RuntimeUse(const RuntimeUse &) = delete;
  RuntimeUse &operator=(const RuntimeUse &) = delete;
  Runtime *get() const { return runtime_; }  // nullptr: the handle is not open

 private:
  int slot_ = -1;
  Runtime *runtime_ = nullptr;
};

}  // namespace ga
