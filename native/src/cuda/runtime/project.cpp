#include "cuda/runtime/project.h"

#include <pthread.h>

#include <initializer_list>

#include "cuda/runtime/cublaslt.h"

namespace ga::cuda {
namespace {

constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;  // what NVIDIA recommends for Hopper; less elsewhere would do

int type_of(const View &view) { return view.dtype == GA_F32 ? lt::kF32 : view.dtype == GA_F16 ? lt::kF16 : lt::kBf16; }

// The largest power of two that every row begins at, up to 16 bytes: kernels that load in larger words may be taken then.
uint32_t alignment_of(const View &view) {
  const auto address = reinterpret_cast<uintptr_t>(view.data);
  const auto step = static_cast<uintptr_t>(view.sequence * view.element_bytes);
  const uintptr_t bits = address | step | 16;
  return static_cast<uint32_t>(bits & (~bits + 1));
}

// The context of cuBLASLt on each device: made once, and kept, since all runtimes of the process use it.
ga_status context(const lt::Functions &f, int device, lt::Handle *handle, ga_error *error) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  static lt::Handle handles[kMaxDevices];
  pthread_mutex_lock(&mutex);
  lt::Status status = 0;
  if (!handles[device]) status = f.create(&handles[device]);
  *handle = handles[device];
  pthread_mutex_unlock(&mutex);
  if (status == 0) return GA_OK;
  return refuse(error, GA_INTERNAL, "cublasLtCreate on CUDA device %d gave %d", device, status);
}

// A product's descriptors, freed with it. The first failure stays.
class Product {
 public:
  explicit Product(const lt::Functions &functions) : f_(functions) {}
  ~Product() {
    if (operation) f_.matmul_destroy(operation);
    if (preference) f_.preference_destroy(preference);
    for (lt::Layout layout : {weight, in, out})
      if (layout) f_.layout_destroy(layout);
  }
  Product(const Product &) = delete;
  Product &operator=(const Product &) = delete;

  // cuBLAS counts by columns: our rows of `in` are its columns, so it computes out^T = weight * in^T.
  bool describe(const Projection &p) {
    const auto features = static_cast<uint64_t>(p.in_features), outs = static_cast<uint64_t>(p.out_features);
    const auto rows = static_cast<uint64_t>(p.rows);
    const size_t workspace = kWorkspaceBytes;
    made(f_.matmul_create(&operation, lt::kComputeF32, lt::kF32)) && set(lt::kTransposeA, lt::kTransposed) &&
        set(lt::kTransposeB, lt::kAsIs) &&
        (!p.bias.data || (set(lt::kEpilogue, lt::kEpilogueBias) && set(lt::kBiasPointer, p.bias.data))) &&
        made(f_.layout_create(&weight, type_of(p.weight), features, outs, leading(p.weight, p.in_features))) &&
        made(f_.layout_create(&in, type_of(p.in), features, rows, leading(p.in, p.in_features))) &&
        made(f_.layout_create(&out, type_of(p.out), outs, rows, leading(p.out, p.out_features))) &&
        made(f_.preference_create(&preference)) && prefer(lt::kMaxWorkspaceBytes, workspace) &&
        prefer(lt::kMinAlignmentA, alignment_of(p.weight)) && prefer(lt::kMinAlignmentB, alignment_of(p.in)) &&
        prefer(lt::kMinAlignmentC, alignment_of(p.out)) && prefer(lt::kMinAlignmentD, alignment_of(p.out));
    return status == 0;
  }

  bool choose(lt::Handle handle, lt::Heuristic &choice) {
    int found = 0;
    made(f_.heuristic(handle, operation, weight, in, out, out, preference, 1, &choice, &found));
    return status == 0 && found > 0 && choice.state == 0;
  }

  lt::MatmulDescriptor operation = nullptr;
  lt::Layout weight = nullptr, in = nullptr, out = nullptr;
  lt::Preference preference = nullptr;
  lt::Status status = 0;

 private:
  bool made(lt::Status s) {
    status = s;
    return s == 0;
  }
  template <class T>
  bool set(int attribute, const T &value) {
    return made(f_.matmul_set(operation, attribute, static_cast<const void *>(&value), sizeof value));
  }
  template <class T>
  bool prefer(int attribute, const T &value) {
    return made(f_.preference_set(preference, attribute, &value, sizeof value));
  }
  // One row may have any stride.
  static int64_t leading(const View &view, int64_t columns) { return view.sequence < columns ? columns : view.sequence; }

  const lt::Functions &f_;
};

}  // namespace

ga_status project(CudaDevice *device, const Projection &p, void *stream, ga_error *error) {
  const lt::Functions *functions = nullptr;
  if (const ga_status status = lt::functions(&functions, error); status != GA_OK) return status;
  const lt::Functions &f = *functions;
  const int index = device->facts.index;
  const Current current(*device, error);
  if (current.status() != GA_OK) return current.status();
  lt::Handle handle = nullptr;
  if (const ga_status status = context(f, index, &handle, error); status != GA_OK) return status;

  Product product(f);
  if (!product.describe(p))
    return refuse(error, GA_INTERNAL, "describing the projection to cuBLASLt gave %d", product.status);
  lt::Heuristic choice = {};
  if (!product.choose(handle, choice))
    return refuse(error, GA_UNSUPPORTED, "cuBLASLt has no kernel for this projection (%d)", product.status);

  const auto on = static_cast<cudaStream_t>(stream);
  Scratch::Use scratch(device->scratch);
  char *workspace = nullptr;
  if (choice.workspace_bytes > 0) {
    const ga_status status = scratch.take(on, static_cast<int64_t>(choice.workspace_bytes), &workspace, error);
    if (status != GA_OK) return status;
  }
  const float one = 1, zero = 0;
  const lt::Status status =
      f.matmul(handle, product.operation, &one, p.weight.data, product.weight, p.in.data, product.in, &zero, p.out.data,
               product.out, p.out.data, product.out, &choice.algorithm, workspace, choice.workspace_bytes, on);
  if (status != 0) {
    if (const ga_status cause = outcome(index, cudaGetLastError(), error, "launching a projection"); cause != GA_OK)
      return cause;
    return refuse(error, GA_INTERNAL, "cublasLtMatmul on CUDA device %d gave %d", index, status);
  }
  return GA_OK;
}

}  // namespace ga::cuda
