#include "cuda/runtime/dispatch.h"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ga::cuda {

extern const Family kForwardSm90 [[gnu::weak]];  // a build with GA_CUDA_HOPPER=OFF has none

namespace {

struct NamedFamily {
  const char *name;
  const Family *family;
};

// In this order: the first that does not refuse a call does it. The only list of families there is.
const NamedFamily kFamilies[] = {{"decode", &kDecode}, {"forward_sm90", &kForwardSm90}, {"forward_mma", &kForwardMma}};

// GA_CUDA_FAMILY in the environment: the only family that may compute, so that each can be checked on every device. Read once.
bool is_allowed(const char *name) {
  static const char *const only = std::getenv("GA_CUDA_FAMILY");
  return !only || std::strcmp(only, name) == 0;
}

bool is_empty(const Output &o) { return o.batch == 0 || o.seq_q == 0; }

// nullptr: refused, for the reason that the last family has, since it does the most.
const Family *family_for(const Problem &p, const DeviceFacts &facts, ga_error *error) {
  const char *reason = "GA_CUDA_FAMILY names none of decode, forward_sm90, forward_mma";
  for (const auto &[name, family] : kFamilies) {
    if (!family || !is_allowed(name)) continue;
    reason = family->refusal(p, facts);
    if (!reason) return family;
  }
  refuse(error, GA_UNSUPPORTED, "no kernel for CUDA device %d computes this call: %s", facts.index, reason);
  return nullptr;
}

ga_status launched(const CudaDevice &device, cudaError_t result, const char *kernel, ga_error *error) {
  if (result == cudaSuccess) return GA_OK;
  char action[96];
  std::snprintf(action, sizeof action, "launching %s", kernel);
  return outcome(device.facts.index, result, error, action);
}

}  // namespace

ga_status plan(CudaDevice *device, const Problem &p, ga_attention_plan *plan, ga_error *error) {
  const Family *family = family_for(p, device->facts, error);
  if (!family) return error->status;
  const LaunchPlan cut = family->plan(p, device->facts);
  plan->query_block = cut.query_block;
  plan->key_block = cut.key_block;
  plan->tasks = cut.tasks;
  plan->workspace_bytes = cut.workspace_bytes;
  std::snprintf(plan->kernel, sizeof plan->kernel, "%s", cut.kernel);
  return GA_OK;
}

ga_status forward(CudaDevice *device, const Problem &p, void *workspace, int64_t workspace_bytes, void *stream,
                  ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  const DeviceFacts &facts = device->facts;
  const Family *family = family_for(p, facts, error);
  if (!family) return error->status;
  if (is_empty(p)) return GA_OK;
  const LaunchPlan cut = family->plan(p, facts);
  const auto on = static_cast<cudaStream_t>(stream);
  if (workspace || cut.workspace_bytes == 0) {
    if (workspace && workspace_bytes < cut.workspace_bytes)
      return refuse(error, GA_INVALID_ARGUMENT, "workspace_bytes is %" PRId64 ", but the call needs %" PRId64,
                    workspace_bytes, cut.workspace_bytes);
    return launched(*device, family->launch(p, facts, static_cast<char *>(workspace), on), cut.kernel, error);
  }
  Scratch::Use scratch(device->scratch);
  char *memory = nullptr;
  if (const ga_status status = scratch.take(on, cut.workspace_bytes, &memory, error); status != GA_OK) return status;
  return launched(*device, family->launch(p, facts, memory, on), cut.kernel, error);
}

ga_status merge(CudaDevice *device, const Merge &m, void *stream, ga_error *error) {
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  if (const char *reason = kMerge.refusal(m, device->facts))
    return refuse(error, GA_UNSUPPORTED, "no kernel for CUDA device %d merges this: %s", device->facts.index, reason);
  if (is_empty(m)) return GA_OK;
  return launched(*device, kMerge.launch(m, device->facts, static_cast<cudaStream_t>(stream)), "merge", error);
}

}  // namespace ga::cuda
