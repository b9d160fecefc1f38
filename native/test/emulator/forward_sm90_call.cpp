#include "forward_sm90_call.h"

#include <algorithm>

#include "cuda/forward_sm90/kernel.cuh"
#include "cuda/forward_sm90/plan.h"

namespace gatest {
namespace {

using namespace ga::cuda::sm90;

ga::cuda::TensorMap encode(const ga::Problem &p, Operand operand) {
  const MapPlan plan = plan_map(p, operand);
  ga::cuda::TensorMap map;
  map.data = plan.data;
  map.element_bytes = 2;
  map.swizzle_bytes = plan.swizzle_bytes;
  std::copy(plan.extent, plan.extent + 4, map.extent);
  std::copy(plan.stride_bytes, plan.stride_bytes + 4, map.stride_bytes);
  std::copy(plan.box, plan.box + 4, map.box);
  return map;
}

template <typename T, int D>
std::string launch_instance(const Arguments &a, const gaemu::Options &options, int blocks) {
  return gaemu::launch(
      blocks, kThreads, static_cast<size_t>(shape_of(D).shared_bytes()),
      [&a] {
        switch (gate_kind(a.p)) {
          case GateKind::kNone: return forward<T, D, GateKind::kNone>(a);
          case GateKind::kHead: return forward<T, D, GateKind::kHead>(a);
          default: return forward<T, D, GateKind::kElement>(a);
        }
      },
      options);
}

template <typename T>
std::string launch_type(const Arguments &a, const gaemu::Options &options, int blocks) {
  switch (a.p.head_dim) {
    case 64: return launch_instance<T, 64>(a, options, blocks);
    case 96: return launch_instance<T, 96>(a, options, blocks);
    case 128: return launch_instance<T, 128>(a, options, blocks);
    case 192: return launch_instance<T, 192>(a, options, blocks);
    default: return launch_instance<T, 256>(a, options, blocks);
  }
}

}  // namespace

std::string launch_forward_sm90(const ga::Problem &p, const gaemu::Options &options, int blocks) {
  if (const char *no = refusal(p)) return std::string("refused: ") + no;
  Arguments a = arguments_of(p, 40 << 20);
  const int64_t tiles = a.work.tiles();
  if (tiles == 0) return "";
  a.q = encode(p, Operand::kQuery);
  a.k = encode(p, Operand::kKey);
  a.v = encode(p, Operand::kValue);
  a.out = encode(p, Operand::kOut);
  if (gate_kind(p) == GateKind::kElement) a.gate = encode(p, Operand::kGate);
  const int grid = static_cast<int>(std::min<int64_t>(tiles, blocks));
  return p.dtype() == GA_BF16 ? launch_type<ga::bf16>(a, options, grid) : launch_type<ga::f16>(a, options, grid);
}

}  // namespace gatest
