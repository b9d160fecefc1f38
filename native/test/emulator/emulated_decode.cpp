#include "emulated_decode.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "cuda/decode/decode.cuh"
#include "cuda/decode/merge.cuh"

namespace gatest {

using namespace ga::cuda::decode;

namespace {

template <class Rows>
std::string launch(const Plan &plan, const gaemu::Options &options) {
  return gaemu::launch(
      static_cast<int>(plan.blocks), kThreads, static_cast<size_t>(plan.shared_bytes),
      [&] { decode_kernel<Rows>(plan.arguments); }, options);
}

template <class T>
std::string launch_mma(const Plan &plan, const gaemu::Options &options) {
  switch (plan.geometry.dim) {
    case 64: return launch<MmaRows<T, 64>>(plan, options);
    case 128: return launch<MmaRows<T, 128>>(plan, options);
    default: return launch<MmaRows<T, 256>>(plan, options);
  }
}

template <class K>
std::string launch_fma(const Plan &plan, const gaemu::Options &options) {
  return plan.geometry.dim == 128 ? launch<FmaRows<K, 128>>(plan, options) : launch<FmaRows<K, 256>>(plan, options);
}

}  // namespace

ga::cuda::DeviceFacts hopper() { return {0, 90, 132, 227 << 10, 50 << 20}; }
ga::cuda::DeviceFacts small_ada() { return {0, 89, 6, 99 << 10, 32 << 20}; }

bool DecodeWorkspace::counters_are_zero() const {
  const auto *bytes = reinterpret_cast<const std::byte *>(words.data());
  return std::all_of(bytes, bytes + counter_bytes, [](std::byte b) { return b == std::byte{0}; });
}

std::string run_decode(const ga::Problem &p, const ga::cuda::DeviceFacts &device, const gaemu::Options &options,
                       DecodeWorkspace &workspace, const std::function<void(Arguments &)> &tamper) {
  if (const char *refused = refusal_of(p)) return std::string("refused: ") + refused;
  Plan plan = make_plan(p, device);
  if (plan.blocks == 0) return "";
  if (workspace.words.empty()) {
    workspace.words.assign(static_cast<size_t>(plan.workspace_bytes) / 8 + 1, ~uint64_t{0});
    workspace.counter_bytes = static_cast<size_t>(plan.counter_bytes);
    std::memset(workspace.words.data(), 0, workspace.counter_bytes);
  }
  place_in(plan, reinterpret_cast<char *>(workspace.words.data()));
  if (tamper) tamper(plan.arguments);
  if (plan.tensor_cores)
    return plan.keys == GA_BF16 ? launch_mma<ga::bf16>(plan, options) : launch_mma<ga::f16>(plan, options);
  switch (plan.keys) {
    case GA_BF16: return launch_fma<ga::bf16>(plan, options);
    case GA_F16: return launch_fma<ga::f16>(plan, options);
    case GA_I8: return launch_fma<ga::i8>(plan, options);
    default: return launch_fma<float>(plan, options);
  }
}

std::string run_merge(const ga::Merge &m, const gaemu::Options &options) {
  const int64_t blocks = merge_blocks(m);
  if (blocks == 0) return "";
  return gaemu::launch(static_cast<int>(blocks), 32 * kMergeWarps, 0, [&] { merge_kernel(m); }, options);
}

}  // namespace gatest
