#include "cuda/decode/merge.cuh"

#include "cuda/family.h"

namespace ga::cuda {
namespace {

const char *refusal(const Merge &m, const DeviceFacts &) {
  return decode::merge_blocks(m) <= 0x7fffffff ? nullptr : "there are too many rows for one launch";
}

cudaError_t launch(const Merge &m, const DeviceFacts &, cudaStream_t stream) {
  const int64_t blocks = decode::merge_blocks(m);
  if (blocks == 0) return cudaSuccess;
  decode::merge_kernel<<<static_cast<unsigned>(blocks), 32 * decode::kMergeWarps, 0, stream>>>(m);
  return cudaGetLastError();
}

}  // namespace

const MergeFamily kMerge = {refusal, launch};

}  // namespace ga::cuda
