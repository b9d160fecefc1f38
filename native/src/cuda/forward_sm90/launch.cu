// The Hopper family: tensor maps and launches.
#include <cuda_runtime_api.h>
#include <cstdio>

#include "cuda/family.h"
#include "cuda/forward_sm90/plan.h"

namespace ga::cuda {
namespace sm90 {

// Defined by instances/*.cu.
template <typename T, int D>
cudaError_t launch_instance(const Arguments &a, GateKind gate, int blocks, cudaStream_t stream);

namespace {

using Encode = CUresult (*)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *,
                            const cuuint64_t *, const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave,
                            CUtensorMapSwizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

// The driver's, looked up: this library is not linked to it.
Encode find_encode() {
  void *function = nullptr;
  cudaDriverEntryPointQueryResult found;
  if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000, cudaEnableDefault, &found) !=
          cudaSuccess ||
      found != cudaDriverEntryPointSuccess)
    return nullptr;
  return reinterpret_cast<Encode>(function);
}

cudaError_t encode(Encode function, const Problem &p, Operand operand, CUtensorMap &map) {
  const MapPlan m = plan_map(p, operand);
  cuuint64_t extent[4], stride[3];
  cuuint32_t box[4];
  const cuuint32_t one[4] = {1, 1, 1, 1};
  for (int axis = 0; axis < 4; ++axis) {
    extent[axis] = static_cast<cuuint64_t>(m.extent[axis]);
    box[axis] = static_cast<cuuint32_t>(m.box[axis]);
    if (axis > 0) stride[axis - 1] = static_cast<cuuint64_t>(m.stride_bytes[axis]);
  }
  const CUresult result =
      function(&map, p.dtype() == GA_BF16 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4, m.data,
               extent, stride, box, one, CU_TENSOR_MAP_INTERLEAVE_NONE,
               m.swizzle_bytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
               CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

template <typename T>
cudaError_t launch_type(const Arguments &a, int blocks, cudaStream_t stream) {
  const GateKind gate = gate_kind(a.p);
  switch (a.p.head_dim) {
    case 64: return launch_instance<T, 64>(a, gate, blocks, stream);
    case 96: return launch_instance<T, 96>(a, gate, blocks, stream);
    case 128: return launch_instance<T, 128>(a, gate, blocks, stream);
    case 192: return launch_instance<T, 192>(a, gate, blocks, stream);
    default: return launch_instance<T, 256>(a, gate, blocks, stream);
  }
}

const char *refusal_on(const Problem &p, const DeviceFacts &device) {
  if (device.compute_capability != 90) return "the device is not of compute capability 9.0";
  return refusal(p);
}

LaunchPlan plan(const Problem &p, const DeviceFacts &device) {
  LaunchPlan result = {};
  const Work work = work_of(p, device.l2_bytes);
  std::snprintf(result.kernel, sizeof result.kernel, "forward_sm90_%s_d%d", p.dtype() == GA_BF16 ? "bf16" : "f16",
                p.head_dim);
  result.query_block = Shape::query_block;
  result.key_block = shape_of(p.head_dim).key_block;
  result.tasks = work.tiles();
  return result;
}

cudaError_t launch(const Problem &p, const DeviceFacts &device, char *, cudaStream_t stream) {
  static const Encode function = find_encode();
  if (!function) return cudaErrorSymbolNotFound;
  Arguments a = arguments_of(p, device.l2_bytes);
  const int64_t tiles = a.work.tiles();
  if (tiles == 0) return cudaSuccess;
  cudaError_t failed = encode(function, p, Operand::kQuery, a.q);
  if (failed == cudaSuccess) failed = encode(function, p, Operand::kKey, a.k);
  if (failed == cudaSuccess) failed = encode(function, p, Operand::kValue, a.v);
  if (failed == cudaSuccess) failed = encode(function, p, Operand::kOut, a.out);
  if (failed == cudaSuccess && gate_kind(p) == GateKind::kElement) failed = encode(function, p, Operand::kGate, a.gate);
  if (failed != cudaSuccess) return failed;
  const int blocks = static_cast<int>(tiles < device.multiprocessors ? tiles : device.multiprocessors);
  return p.dtype() == GA_BF16 ? launch_type<bf16>(a, blocks, stream) : launch_type<f16>(a, blocks, stream);
}

}  // namespace
}  // namespace sm90

const Family kForwardSm90 = {sm90::refusal_on, sm90::plan, sm90::launch};

}  // namespace ga::cuda
