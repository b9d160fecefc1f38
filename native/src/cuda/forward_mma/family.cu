// What this folder offers to the dispatcher.
#include "cuda/family.h"

#include <cstdio>

#include "cuda/forward_mma/choice.h"
#include "cuda/forward_mma/launch.h"

namespace ga::cuda::prefill {
namespace {

const char *refusal(const Problem &p, const DeviceFacts &device) {
  if (device.compute_capability < 80)
    return "devices before compute capability 8.0 have no bf16 products and no cp.async";
  if (p.out.dtype != p.q.dtype) return "an output of another type than the queries is not in the mma.sync kernels";
  const Choice choice = choose(p);
  if (choice.shared_bytes > device.shared_memory_bytes)
    return "a block of this device has less shared memory than a tile takes";
  return too_large(p, choice.query_block);
}

LaunchPlan plan(const Problem &p, const DeviceFacts &device) {
  const Choice choice = choose(p);
  LaunchPlan plan = {};
  const char *type = p.q.dtype == GA_BF16 ? "bf16" : p.q.dtype == GA_F16 ? "f16" : "f32";
  std::snprintf(plan.kernel, sizeof plan.kernel, "forward_%s_%s_d%d", choice.tensor_cores ? "mma" : "fma", type,
                choice.columns);
  plan.query_block = choice.query_block;
  plan.key_block = choice.key_block;
  plan.tasks = tasks_of(p, choice.query_block, device.l2_bytes).count;
  return plan;
}

using Launch = cudaError_t (*)(const Problem &, const Tasks &, int, cudaStream_t);

template <class T>
Launch launch_of(const Choice &choice) {
  if constexpr (sizeof(T) == 4) {
    return choice.columns == 128 ? launch_fma<T, 128> : choice.columns == 256 ? launch_fma<T, 256> : launch_fma<T, 512>;
  } else {
    if (!choice.tensor_cores) return launch_fma<T, 512>;
    switch (choice.columns) {
      case 64: return launch_mma<T, 64>;
      case 96: return launch_mma<T, 96>;
      case 128: return launch_mma<T, 128>;
      case 192: return launch_mma<T, 192>;
      default: return launch_mma<T, 256>;
    }
  }
}

cudaError_t launch(const Problem &p, const DeviceFacts &device, char *, cudaStream_t stream) {
  const Choice choice = choose(p);
  const Tasks tasks = tasks_of(p, choice.query_block, device.l2_bytes);
  if (tasks.count == 0) return cudaSuccess;
  const Launch run = p.q.dtype == GA_BF16  ? launch_of<bf16>(choice)
                     : p.q.dtype == GA_F16 ? launch_of<f16>(choice)
                                           : launch_of<float>(choice);
  return run(p, tasks, choice.shared_bytes, stream);
}

}  // namespace
}  // namespace ga::cuda::prefill

namespace ga::cuda {

const Family kForwardMma = {prefill::refusal, prefill::plan, prefill::launch};

}  // namespace ga::cuda
