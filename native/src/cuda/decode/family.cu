// Decode as the dispatcher sees it.

#include "cuda/decode/kernels.h"

namespace ga::cuda {
namespace decode {
namespace {

Launch launch_of(const Plan &plan) {
  if (plan.tensor_cores) return plan.keys == GA_BF16 ? launch_mma_bf16 : launch_mma_f16;
  switch (plan.keys) {
    case GA_BF16: return launch_fma_bf16;
    case GA_F16: return launch_fma_f16;
    case GA_I8: return launch_fma_i8;
    default: return launch_fma_f32;
  }
}

const char *refusal(const Problem &p, const DeviceFacts &device) {
  if (device.compute_capability < 80) return "the device is older than compute capability 8.0";
  if (const char *why = refusal_of(p)) return why;
  const int least = least_shared_bytes(p);
  return least <= device.shared_memory_bytes ? nullptr : "the device has too little shared memory per block";
}

LaunchPlan describe(const Problem &p, const DeviceFacts &device) {
  const Plan plan = make_plan(p, device);
  LaunchPlan launch{};
  std::snprintf(launch.kernel, sizeof launch.kernel, "decode_%s%s%s_d%d", name_of(p.q.dtype),
                p.k.dtype == p.q.dtype ? "" : "_", p.k.dtype == p.q.dtype ? "" : name_of(p.k.dtype), plan.geometry.dim);
  launch.query_block = static_cast<int32_t>(plan.arguments.unit_rows);
  launch.key_block = plan.geometry.tile_keys;
  launch.tasks = plan.blocks;
  launch.workspace_bytes = plan.workspace_bytes;
  return launch;
}

// Two nodes of a graph at most: the counters are zeroed, since the workspace comes as it is, and the kernel.
cudaError_t launch(const Problem &p, const DeviceFacts &device, char *workspace, cudaStream_t stream) {
  Plan plan = make_plan(p, device);
  if (plan.blocks == 0) return cudaSuccess;
  place_in(plan, workspace);
  if (plan.counter_bytes > 0) {
    const cudaError_t error = cudaMemsetAsync(workspace, 0, static_cast<size_t>(plan.counter_bytes), stream);
    if (error != cudaSuccess) return error;
  }
  return launch_of(plan)(plan, stream);
}

}  // namespace
}  // namespace decode

const Family kDecode = {decode::refusal, decode::describe, decode::launch};

}  // namespace ga::cuda
