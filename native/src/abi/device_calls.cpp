#include "abi/device_calls.h"

#include "core/cost.h"
#include "core/cuda_library.h"

namespace ga {
namespace {

int64_t saturated(double x) { return x < 9e18 ? static_cast<int64_t>(x) : INT64_MAX; }

bool passed(ga_status status, const ga_error &error, Refusal &no) {
  return status == GA_OK || no.with(status, "%s", error.message);
}

}  // namespace

bool open_device(Runtime &r, int32_t index, const char *library, Refusal &no) {
  const CudaBackend *cuda = open_cuda_library(library, no);
  if (!cuda) return false;
  ga_error error;
  CudaDevice *device = nullptr;
  if (!passed(cuda->open(index, &device, &error), error, no)) return false;
  r.cuda = cuda;
  r.device = device;
  return true;
}

bool query_device(const Runtime &r, ga_runtime_info &info, Refusal &no) {
  ga_error error;
  if (!passed(r.cuda->query(r.device, &info, &error), error, no)) return false;
  info.isa = GA_ISA_SCALAR;
  info.threads = 1;
  info.device = GA_DEVICE_CUDA;
  return true;
}

bool plan_on_device(const Runtime &r, const Problem &p, ga_attention_plan &plan, Refusal &no) {
  ga_error error;
  ga_attention_plan made = {};
  if (!passed(r.cuda->plan(r.device, p, &made, &error), error, no)) return false;
  made.struct_size = sizeof made;
  made.isa = GA_ISA_SCALAR;
  made.threads = 1;
  made.flop = saturated(most_flop(p));
  made.bytes = saturated(most_bytes_moved(p));
  plan = made;
  return true;
}

bool forward_on_device(const Runtime &r, const Problem &p, const ga_attention_params &c, Refusal &no) {
  const View workspace = {static_cast<char *>(c.workspace)};
  ga_error error;
  return check_places(r,
                      {{"q", p.q},
                       {"k", p.k},
                       {"v", p.v},
                       {"k_scale", p.k_scale},
                       {"v_scale", p.v_scale},
                       {"gate", p.gate},
                       {"norm_weight", p.norm_weight},
                       {"sink", p.sink},
                       {"out", p.out},
                       {"lse", p.lse},
                       {"key_lengths", p.key_lengths},
                       {"query_lengths", p.query_lengths},
                       {"key_starts", p.key_starts},
                       {"cu_seqlens_q", p.cu_seqlens_q},
                       {"cu_seqlens_k", p.cu_seqlens_k},
                       {"block_table", p.block_table},
                       {"workspace", workspace}},
                      no) &&
         passed(r.cuda->forward(r.device, p, workspace.data, c.workspace_bytes, c.stream, &error), error, no);
}

bool merge_on_device(const Runtime &r, const Merge &m, void *stream, Refusal &no) {
  ga_error error;
  return check_places(r,
                      {{"partial_out", m.partial_out},
                       {"partial_lse", m.partial_lse},
                       {"gate", m.gate},
                       {"norm_weight", m.norm_weight},
                       {"sink", m.sink},
                       {"out", m.out},
                       {"lse", m.lse}},
                      no) &&
         passed(r.cuda->merge(r.device, m, stream, &error), error, no);
}

bool project_on_device(const Runtime &r, const Projection &p, void *stream, Refusal &no) {
  if (!check_places(r, {{"in", p.in}, {"weight", p.weight}, {"bias", p.bias}, {"out", p.out}}, no)) return false;
  ga_error error;
  return p.rows == 0 || passed(r.cuda->project(r.device, p, stream, &error), error, no);
}

bool check_places(const Runtime &r, std::initializer_list<NamedView> tensors, Refusal &no) {
  const void *addresses[kMostTensors];
  int count = 0;
  for (const NamedView &t : tensors) addresses[count++] = t.view.data;
  Place place = Place::kDevice;
  const int first = r.cuda->misplaced(r.device, addresses, count, &place);
  if (first == count) return true;
  return no.invalid("%s is at %p, in memory of %s; it must be in memory of the runtime's device",
                    (tensors.begin() + first)->name, addresses[first],
                    place == Place::kHost ? "the host" : "another device");
}

bool check_on_cpu(const Runtime &r, const char *what, Refusal &no) {
  return !r.device || no.with(GA_UNSUPPORTED, "%s runs on the CPU alone, but the runtime is of a CUDA device", what);
}

bool check_no_stream(const void *stream, Refusal &no) {
  return !stream || no.invalid("stream is %p; it must be NULL on a runtime of the CPU", stream);
}

}  // namespace ga
