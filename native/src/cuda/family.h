// What a family of kernels offers to the dispatcher: one for each way to do a call on a GPU.
#pragma once

#include <cuda_runtime_api.h>

#include "core/problem.h"

namespace ga::cuda {

// What launches depend on, read once when a device is opened.
struct DeviceFacts {
  int index;
  int compute_capability;  // 10 * major + minor: 80, 86, 89, 90, 100, 120
  int multiprocessors;
  int shared_memory_bytes;  // that one block may have
  int l2_bytes;
};

struct LaunchPlan {
  char kernel[64];  // for example "forward_sm90_bf16_d128"
  int32_t query_block, key_block;
  int64_t tasks;            // tiles that blocks claim
  int64_t workspace_bytes;  // device memory that the launch needs
};

// All work is enqueued on the stream: nothing here allocates, synchronizes or reads device memory from the host, so that every
// launch may be captured in a CUDA graph. Lengths and pages are read by the kernels; a launch is sized for the most that p allows.
struct Family {
  // nullptr: it computes this call on such a device; else why not, as a clause: "softcap is not in the Hopper kernels".
  const char *(*refusal)(const Problem &p, const DeviceFacts &device);
  LaunchPlan (*plan)(const Problem &p, const DeviceFacts &device);
  cudaError_t (*launch)(const Problem &p, const DeviceFacts &device, char *workspace, cudaStream_t stream);
};

// Merges partial results, under the same rules; needs no workspace.
struct MergeFamily {
  const char *(*refusal)(const Merge &m, const DeviceFacts &device);
  cudaError_t (*launch)(const Merge &m, const DeviceFacts &device, cudaStream_t stream);
};

extern const MergeFamily kMerge;

extern const Family kDecode;       // few query rows per key/value head: keys are split, then merged, in one launch
extern const Family kForwardSm90;  // Hopper: TMA, wgmma, the gate as the last tile of the ring
extern const Family kForwardMma;   // everything else, on every device from 8.0 on

}  // namespace ga::cuda
