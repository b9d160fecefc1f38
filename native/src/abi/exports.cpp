// The door: every export of the library. Each one writes outputs only when all checks passed, and reports a failure as a
// status and one sentence.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "abi/abi_table.h"
#include "abi/validate.h"
#include "core/cpu_features.h"
#include "core/dispatch.h"
#include "core/mask.h"
#include "core/runtime.h"

namespace ga {
namespace {

// Memory lent by the caller, or borrowed from the runtime for the length of a call.
class Workspace {
 public:
  Workspace(const ga_attention_params &params, int64_t needed, WorkspacePool &pool, Refusal &no) : pool_(pool) {
    if (params.workspace) {
      if (params.workspace_bytes < needed)
        no.invalid("workspace_bytes is %" PRId64 ", but the call needs %" PRId64, params.workspace_bytes, needed);
      else
        memory_ = static_cast<char *>(params.workspace);
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

bool check_schedule(const Problem &p, const Kernels &kernels, Schedule &s, Refusal &no) {
  if (make_schedule(p, kernels.geometry, s)) return true;
  return no.with(GA_UNSUPPORTED, "the scratch memory for this shape would exceed 2^56 bytes");
}

// GA_MAX_ISA caps the choice from outside of the program.
bool environment_cap(ga_isa &cap, Refusal &no) {
  const char *name = std::getenv("GA_MAX_ISA");
  cap = GA_ISA_COUNT;
  if (!name || !*name) return true;
  for (cap = 0; cap < GA_ISA_COUNT; cap++)
    if (std::strcmp(name, isa_name(cap)) == 0) return true;
  return no.invalid("GA_MAX_ISA is '%s'; it must be one of scalar, neon, avx2, avx512, avx512_bf16", name);
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
  ga_isa cap;
  if (!environment_cap(cap, no)) return false;
  Runtime *created = make_runtime(best_isa(wanted < cap ? wanted : cap), threads);
  if (!created) return no.with(GA_OUT_OF_MEMORY, "the system has no memory left for a runtime of %d threads", threads);
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
  info->isa = use.get()->kernels.isa;
  info->threads = use.get()->pool.threads();
  info->workspace_bytes = use.get()->workspaces.bytes_held();
  return true;
}

// The copy of the key lengths follows the scratch of the kernels.
int64_t total_workspace(const Problem &p, const Schedule &s, const Runtime &r) {
  return workspace_bytes(s, r.pool.threads()) + (p.key_lengths.data ? round_up(p.batch * 4, 64) : 0);
}

// The sum of clamp(first + i, 0, most) over 0 <= i < count.
double clamped_sum(int64_t first, int64_t count, int64_t most) {
  const auto clamp = [&](int64_t i) { return i < 0 ? 0 : i > count ? count : i; };
  const int64_t rising = clamp(-first), flat = clamp(most - first);  // 0 before, then first + i, then most
  const double n = static_cast<double>(flat - rising);
  return n * (static_cast<double>(first + rising) + static_cast<double>(first + flat - 1)) / 2 +
         static_cast<double>(count - flat) * static_cast<double>(most);
}

// Query-key pairs that the mask leaves, per query head of one sequence whose cache is full.
double visible_pairs(const Problem &p) {
  const int64_t diagonal = p.seq_k - p.seq_q;
  double pairs = static_cast<double>(p.seq_q) * static_cast<double>(p.seq_k);
  if (p.window_right >= 0) pairs = clamped_sum(diagonal + p.window_right + 1, p.seq_q, p.seq_k);
  if (p.window_left >= 0) pairs -= clamped_sum(diagonal - p.window_left, p.seq_q, p.seq_k);
  return pairs;
}

double tensor_bytes(const Problem &p) {
  const double rows = static_cast<double>(p.batch) * static_cast<double>(p.seq_q) * p.heads_q;
  const double keys = static_cast<double>(p.batch) * static_cast<double>(p.seq_k) * p.heads_kv;
  double bytes = (rows + keys) * (p.head_dim + p.head_dim_v) * p.q.element_bytes;
  if (p.gate.data) bytes += rows * (p.gate.dim ? p.head_dim_v : 1) * p.gate.element_bytes;
  if (p.lse.data) bytes += rows * 4;
  return bytes;
}

int64_t saturated(double x) { return x < 9e18 ? static_cast<int64_t>(x) : INT64_MAX; }

bool plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan, Refusal &no) {
  if (!plan) return no.invalid("plan is NULL");
  if (!check_struct_size("ga_attention_plan", plan->struct_size, sizeof *plan, no)) return false;
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  const Runtime &r = *use.get();
  Problem p;
  Schedule s;
  if (!check_problem(params, Purpose::kPlan, p, no) || !check_schedule(p, r.kernels, s, no)) return false;
  plan->isa = r.kernels.isa;
  plan->threads = r.pool.threads();
  plan->query_block = static_cast<int32_t>(s.phase == kPrefill ? s.query_block : s.rows);
  plan->key_block = static_cast<int32_t>(s.phase == kPrefill ? kKeyBlock : s.chunk_keys(p.seq_k));
  plan->tasks = s.tasks;
  plan->workspace_bytes = total_workspace(p, s, r);
  plan->flop = saturated(2.0 * (p.head_dim + p.head_dim_v) * visible_pairs(p) * p.heads_q * static_cast<double>(p.batch));
  plan->bytes = saturated(tensor_bytes(p));
  constexpr const char *kTypes[] = {"f32", "bf16", "f16"};
  std::snprintf(plan->kernel, sizeof plan->kernel, "%s_%s_%s", s.phase == kPrefill ? "prefill" : "decode",
                kTypes[p.dtype()], isa_name(r.kernels.isa));
  return true;
}

bool attend(ga_runtime runtime, const ga_attention_params *params, Refusal &no) {
  const RuntimeUse use(runtime);
  if (!use.get()) return not_open(runtime, no);
  Runtime &r = *use.get();
  Problem p;
  Schedule s;
  if (!check_problem(params, Purpose::kForward, p, no) || !check_schedule(p, r.kernels, s, no)) return false;
  const Workspace workspace(*params, total_workspace(p, s, r), r.workspaces, no);
  if (!workspace.get()) return false;
  char *lengths = workspace.get() + workspace_bytes(s, r.pool.threads());
  if (!copy_key_lengths(p, reinterpret_cast<int32_t *>(lengths), no)) return false;
  if (!fits(p, r.kernels.geometry, s)) return no.invalid("key_lengths changed during the call");
  forward(p, s, r.kernels, r.pool, workspace.get());
  return true;
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
                                       const void *, const void *, const void *) noexcept {
  return ga_attention_forward(runtime, params, error);
}

}  // extern "C"
