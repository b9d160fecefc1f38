// The door: every export of the library. Each one writes outputs only when all checks passed, and reports a failure as a
// status and one sentence.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/abi_table.h"
#include "abi/device_calls.h"
#include "abi/lengths.h"
#include "abi/validate.h"
#include "core/backward.h"
#include "core/cost.h"
#include "core/cpu_features.h"
#include "core/cuda_library.h"
#include "core/dispatch.h"
#include "core/runtime.h"

namespace ga {
namespace {

// Memory lent by the caller, or borrowed from the runtime for the length of a call.
class Workspace {
 public:
  Workspace(void *lent, int64_t lent_bytes, int64_t needed, WorkspacePool &pool, Refusal &no) : pool_(pool) {
    if (lent) {
      if (lent_bytes < needed)
        no.invalid("workspace_bytes is %" PRId64 ", but the call needs %" PRId64, lent_bytes, needed);
      else
        memory_ = static_cast<char *>(lent);
      return;
    }
    memory_ = borrowed_ = pool.borrow(needed);
    if (!memory_)
      no.with(GA_OUT_OF_MEMORY, "the call needs %" PRId64 " bytes of scratch memory, and the system has no more", needed);
  }
  ~Workspace() {
    if (borrowed_) pool_.give_back(borrowed_);
  }
  Workspace(const Workspace &) = delete;
  Workspace &operator=(const Workspace &) = delete;
  char *get() const { return memory_; }  // nullptr: refused

 private:
  WorkspacePool &pool_;
  char *memory_ = nullptr, *borrowed_ = nullptr;
};

bool not_open(ga_runtime handle, Refusal &no) {
  return no.with(GA_INVALID_HANDLE, "runtime %" PRIu64 " is not open: it was closed, or never created", handle);
}

bool check_schedule(const Problem &p, const Runtime &r, Schedule &s, Refusal &no) {
  if (make_schedule(p, r.kernels.geometry, r.pool.threads(), s)) return true;
  return no.with(GA_UNSUPPORTED, "the scratch memory for this shape would exceed 2^56 bytes");
}

// GA_MAX_ISA caps the choice from outside of the program.
bool environment_cap(ga_isa &cap, Refusal &no) {
  const char *name = std::getenv("GA_MAX_ISA");
  cap = GA_ISA_COUNT;
  if (!name || !*name) return true;
  for (cap = 0; cap < GA_ISA_COUNT; cap++)
    if (std::strcmp(name, isa_name(cap)) == 0) return true;
  return no.invalid("GA_MAX_ISA is '%s'; it must be one of scalar, neon, avx2, avx512, avx512_bf16, amx_bf16", name);
}

bool create(const ga_runtime_options *options, ga_runtime *runtime, Refusal &no) {
  if (!options) return no.invalid("options is NULL");
  if (!runtime) return no.invalid("runtime is NULL");
  if (!check_struct_size("ga_runtime_options", options->struct_size, sizeof *options, no)) return false;
  const int32_t threads = options->threads;
  const ga_isa wanted = options->max_isa;
  if (threads < 1 || threads > 1024) return no.invalid("threads is %d; it must be from 1 to 1024", threads);
  if (wanted < 0 || wanted > GA_ISA_COUNT)
    return no.invalid("max_isa is %d; it must be from 0 to %d", wanted, GA_ISA_COUNT);
  const ga_device device = options->device;
  const int32_t index = options->device_index;
  if (device != GA_DEVICE_CPU && device != GA_DEVICE_CUDA)
    return no.invalid("device is %d; it must be %d (CPU) or %d (CUDA)", device, GA_DEVICE_CPU, GA_DEVICE_CUDA);
  if (index < 0 || (device == GA_DEVICE_CPU && index != 0))
    return no.invalid("device_index is %d; it must be %s", index, device == GA_DEVICE_CPU ? "0 on the CPU" : "0 or more");
  ga_isa cap;
  if (!environment_cap(cap, no)) return false;
  Runtime *created = make_runtime(best_isa(wanted < cap ? wanted : cap), device == GA_DEVICE_CPU ? threads : 1);
  if (!created) return no.with(GA_OUT_OF_MEMORY, "the system has no memory left for a runtime of %d threads", threads);
  if (device == GA_DEVICE_CUDA && !open_device(*created, index, options->cuda_library, no)) {
    delete_runtime(created);
    return false;
  }
  const ga_runtime handle = publish(created);
  if (handle == 0) {
    delete_runtime(created);
    return no.with(GA_OUT_OF_MEMORY, "1024 runtimes are open already; close one, or share one between callers");
  }
  *runtime = handle;
  return true;
}

bool query(ga_runtime runtime, ga_runtime_info *info, Refusal &no) {
  if (!info) return no.invalid("info is NULL");
  if (!check_struct_size("ga_runtime_info", info->struct_size, sizeof *info, no)) return false;
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  Runtime &r = *use.get();
  ga_runtime_info known = {};
  known.struct_size = sizeof known;
  if (r.device) {
    if (!query_device(r, known, no)) return false;
  } else {
    known.isa = r.kernels.isa;
    known.threads = r.pool.threads();
    known.workspace_bytes = r.workspaces.bytes_held();
  }
  *info = known;
  return true;
}

// The copy of the lengths follows the scratch of the kernels.
int64_t total_workspace(const Problem &p, const Schedule &s, const Runtime &r) {
  return workspace_bytes(s, r.pool.threads()) + lengths_bytes(p);
}

constexpr const char *kTypeNames[] = {"f32", "bf16", "f16", "i32", "i8"};  // by ga_dtype

int64_t saturated(double x) { return x < 9e18 ? static_cast<int64_t>(x) : INT64_MAX; }

bool plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan, Refusal &no) {
  if (!plan) return no.invalid("plan is NULL");
  if (!check_struct_size("ga_attention_plan", plan->struct_size, sizeof *plan, no)) return false;
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  const Runtime &r = *use.get();
  Problem p;
  Schedule s;
  if (!check_problem(params, Purpose::kPlan, p, no)) return false;
  if (r.device) return plan_on_device(r, p, *plan, no);
  if (!check_no_stream(params->stream, no) || !check_schedule(p, r, s, no)) return false;
  plan->isa = r.kernels.isa;
  plan->threads = r.pool.threads();
  plan->query_block = static_cast<int32_t>(s.query_block);
  plan->key_block = static_cast<int32_t>(s.key_block);
  plan->tasks = s.tasks();
  plan->workspace_bytes = total_workspace(p, s, r);
  plan->flop = saturated(flop(p));
  plan->bytes = saturated(bytes_moved(p));
  const char *phase = s.prefill_tasks == 0 ? "decode" : s.decode_tasks == 0 ? "prefill" : "prefill+decode";
  const bool one_type = p.k.dtype == p.dtype();
  std::snprintf(plan->kernel, sizeof plan->kernel, "%s_%s%s%s_%s", phase, kTypeNames[p.dtype()], one_type ? "" : "_",
                one_type ? "" : kTypeNames[p.k.dtype], isa_name(r.kernels.isa));
  return true;
}

bool attend(ga_runtime runtime, const ga_attention_params *params, Refusal &no) {
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  Runtime &r = *use.get();
  Problem p;
  Schedule s;
  if (!check_problem(params, Purpose::kCall, p, no)) return false;
  if (r.device) return forward_on_device(r, p, *params, no);
  if (!check_no_stream(params->stream, no) || !check_schedule(p, r, s, no)) return false;
  const Workspace workspace(params->workspace, params->workspace_bytes, total_workspace(p, s, r), r.workspaces, no);
  if (!workspace.get()) return false;
  char *lengths = workspace.get() + workspace_bytes(s, r.pool.threads());
  if (!copy_lengths(p, lengths, no)) return false;
  if (!make_parts(p, r.kernels.geometry, r.pool.threads(), s, workspace.get()))
    return no.invalid("the lengths changed during the call");
  forward(p, s, r.kernels, r.pool, workspace.get());
  return true;
}

bool merge_partials(ga_runtime runtime, const ga_merge_params *params, Refusal &no) {
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  Merge m;
  if (!check_merge(params, m, no)) return false;
  if (use.get()->device) return merge_on_device(*use.get(), m, params->stream, no);
  if (!check_no_stream(params->stream, no)) return false;
  merge(m, use.get()->kernels, use.get()->pool);
  return true;
}

bool check_backward_plan(const BackwardProblem &p, const Runtime &r, BackwardPlan &plan, Refusal &no) {
  if (plan_backward(p, r.kernels, r.pool.threads(), plan)) return true;
  return no.with(GA_UNSUPPORTED, "the scratch memory for this shape would exceed 2^56 bytes");
}

bool backward_plan_for(ga_runtime runtime, const ga_attention_params *forward, const ga_attention_backward_params *params,
                       ga_attention_plan *plan, Refusal &no) {
  if (!plan) return no.invalid("plan is NULL");
  if (!check_struct_size("ga_attention_plan", plan->struct_size, sizeof *plan, no)) return false;
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  const Runtime &r = *use.get();
  if (!check_on_cpu(r, "the backward pass", no)) return false;
  BackwardProblem p;
  BackwardPlan cut;
  if (!check_backward(forward, params, Purpose::kPlan, p, no) || !check_no_stream(forward->stream, no) ||
      !check_backward_plan(p, r, cut, no))
    return false;
  plan->isa = r.kernels.isa;
  plan->threads = r.pool.threads();
  plan->query_block = static_cast<int32_t>(cut.schedule.query_block);
  plan->key_block = static_cast<int32_t>(cut.schedule.key_block);
  plan->tasks = cut.schedule.row_units * cut.schedule.row_tasks + backward_tasks(p, cut.schedule);
  plan->workspace_bytes = cut.workspace_bytes + lengths_bytes(p);
  plan->flop = saturated(backward_flop(p, cut.schedule.recomputes));
  plan->bytes = saturated(backward_bytes_moved(p));
  std::snprintf(plan->kernel, sizeof plan->kernel, "%sbackward_%s_%s", cut.schedule.recomputes ? "forward+" : "",
                kTypeNames[p.dtype()], isa_name(r.kernels.isa));
  return true;
}

bool attend_backward(ga_runtime runtime, const ga_attention_params *forward, const ga_attention_backward_params *params,
                     Refusal &no) {
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  Runtime &r = *use.get();
  if (!check_on_cpu(r, "the backward pass", no)) return false;
  BackwardProblem p;
  BackwardPlan plan;
  if (!check_backward(forward, params, Purpose::kCall, p, no) || !check_no_stream(forward->stream, no) ||
      !check_backward_plan(p, r, plan, no))
    return false;
  const Workspace workspace(params->workspace, params->workspace_bytes, plan.workspace_bytes + lengths_bytes(p),
                            r.workspaces, no);
  if (!workspace.get() || !copy_lengths(p, workspace.get() + plan.lengths_offset, no)) return false;
  return backward(p, plan, r.kernels, r.pool, workspace.get()) || no.invalid("the lengths changed during the call");
}

}  // namespace
}  // namespace ga

extern "C" {

int32_t ga_abi_version() noexcept { return GA_ABI_VERSION; }

const char *ga_abi_table() noexcept { return ga::kAbiTable; }

const char *ga_build_info() noexcept { return ga::kBuildInfo; }

const char *ga_status_name(ga_status status) noexcept {
  switch (status) {
    case GA_OK: return "GA_OK";
    case GA_INVALID_ARGUMENT: return "GA_INVALID_ARGUMENT";
    case GA_INVALID_HANDLE: return "GA_INVALID_HANDLE";
    case GA_UNSUPPORTED: return "GA_UNSUPPORTED";
    case GA_OUT_OF_MEMORY: return "GA_OUT_OF_MEMORY";
    case GA_INTERNAL: return "GA_INTERNAL";
    case GA_UNAVAILABLE: return "GA_UNAVAILABLE";
    case GA_DEVICE_FAILED: return "GA_DEVICE_FAILED";
    default: return "unknown status";
  }
}

const char *ga_isa_name(ga_isa isa) noexcept {
  const char *name = ga::isa_name(isa);
  return name ? name : "unknown instruction set";
}

const char *ga_isa_unavailable(ga_isa isa) noexcept { return ga::isa_unavailable(isa); }

ga_status ga_runtime_create(const ga_runtime_options *options, ga_runtime *runtime, ga_error *error) noexcept {
  ga::Refusal no;
  ga::create(options, runtime, no);
  return no.report(error);
}

ga_status ga_runtime_close(ga_runtime runtime, ga_error *error) noexcept {
  ga::Refusal no;
  if (ga::Runtime *closed = ga::retire(runtime))
    ga::delete_runtime(closed);
  else
    ga::not_open(runtime, no);
  return no.report(error);
}

ga_status ga_runtime_query(ga_runtime runtime, ga_runtime_info *info, ga_error *error) noexcept {
  ga::Refusal no;
  ga::query(runtime, info, no);
  return no.report(error);
}

ga_status ga_attention_plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan,
                                ga_error *error) noexcept {
  ga::Refusal no;
  ga::plan_for(runtime, params, plan, no);
  return no.report(error);
}

ga_status ga_attention_forward(ga_runtime runtime, const ga_attention_params *params, ga_error *error) noexcept {
  ga::Refusal no;
  ga::attend(runtime, params, no);
  return no.report(error);
}

ga_status ga_attention_forward_holding(ga_runtime runtime, const ga_attention_params *params, ga_error *error,
                                       const void *, const void *, const void *, const void *, const void *, const void *,
                                       const void *, const void *, const void *, const void *, const void *, const void *,
                                       const void *, const void *, const void *, const void *) noexcept {
  return ga_attention_forward(runtime, params, error);
}

ga_status ga_attention_forward_holding_few(ga_runtime runtime, const ga_attention_params *params, ga_error *error,
                                           const void *, const void *, const void *, const void *,
                                           const void *) noexcept {
  return ga_attention_forward(runtime, params, error);
}

ga_status ga_attention_merge(ga_runtime runtime, const ga_merge_params *params, ga_error *error) noexcept {
  ga::Refusal no;
  ga::merge_partials(runtime, params, no);
  return no.report(error);
}

ga_status ga_attention_merge_holding(ga_runtime runtime, const ga_merge_params *params, ga_error *error, const void *,
                                     const void *, const void *, const void *, const void *, const void *,
                                     const void *) noexcept {
  return ga_attention_merge(runtime, params, error);
}

ga_status ga_attention_backward_plan_for(ga_runtime runtime, const ga_attention_params *forward,
                                         const ga_attention_backward_params *backward, ga_attention_plan *plan,
                                         ga_error *error) noexcept {
  ga::Refusal no;
  ga::backward_plan_for(runtime, forward, backward, plan, no);
  return no.report(error);
}

ga_status ga_attention_backward(ga_runtime runtime, const ga_attention_params *forward,
                                const ga_attention_backward_params *backward, ga_error *error) noexcept {
  ga::Refusal no;
  ga::attend_backward(runtime, forward, backward, no);
  return no.report(error);
}

ga_status ga_attention_backward_holding(ga_runtime runtime, const ga_attention_params *forward,
                                        const ga_attention_backward_params *backward, ga_error *error, const void *,
                                        const void *, const void *, const void *, const void *, const void *,
                                        const void *, const void *, const void *, const void *, const void *,
                                        const void *, const void *, const void *, const void *, const void *,
                                        const void *, const void *, const void *, const void *, const void *) noexcept {
  return ga_attention_backward(runtime, forward, backward, error);
}

}  // extern "C"
