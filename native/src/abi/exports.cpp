// The door: every export of the library. Each one catches everything, writes outputs only when all checks passed, and
// reports a failure as a status and one sentence.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "abi/abi_table.h"
#include "abi/refusal.h"
#include "abi/validate.h"
#include "core/cpu_features.h"
#include "core/dispatch.h"
#include "core/mask.h"
#include "core/runtime.h"

namespace ga {
namespace {

ga_status report(ga_error *error, ga_status status, const char *message) noexcept {
  if (error) {
    error->status = status;
    std::snprintf(error->message, sizeof error->message, "%s", message);
  }
  return status;
}

template <class Body>
ga_status guarded(ga_error *error, Body body) noexcept {
  try {
    body();
    return GA_OK;
  } catch (const Refusal &refusal) {
    return report(error, refusal.status, refusal.message);
  } catch (const std::bad_alloc &) {
    return report(error, GA_OUT_OF_MEMORY, "the system has no memory left for this call");
  } catch (...) {
    return report(error, GA_INTERNAL, "an unexpected exception inside of the library; please report it");
  }
}

// Unwinds a use of the runtime together with the memory borrowed from it.
class Borrowed {
 public:
  Borrowed(WorkspacePool &pool, int64_t bytes) : pool_(pool), memory_(pool.borrow(bytes)) {
    if (!memory_) refuse(GA_OUT_OF_MEMORY, "the call needs %lld bytes of scratch memory, and the system has no more", static_cast<long long>(bytes));
  }
  ~Borrowed() { pool_.give_back(memory_); }
  Borrowed(const Borrowed &) = delete;
  Borrowed &operator=(const Borrowed &) = delete;
  char *get() const { return memory_; }

 private:
  WorkspacePool &pool_;
  char *memory_;
};

Runtime &opened(const RuntimeUse &use, ga_runtime handle) {
  if (!use.get()) refuse(GA_INVALID_HANDLE, "runtime %llu is not open: it was closed, or never created", static_cast<unsigned long long>(handle));
  return *use.get();
}

Schedule checked_schedule(const Problem &p, const Kernels &kernels) {
  Schedule s;
  if (!make_schedule(p, kernels.geometry, s)) refuse(GA_UNSUPPORTED, "the scratch memory for this shape would exceed 2^56 bytes");
  return s;
}

// GA_MAX_ISA caps the choice from outside of the program.
ga_isa environment_cap() {
  const char *name = std::getenv("GA_MAX_ISA");
  if (!name || !*name) return GA_ISA_COUNT;
  for (ga_isa isa = 0; isa < GA_ISA_COUNT; isa++)
    if (std::strcmp(name, isa_name(isa)) == 0) return isa;
  refuse(GA_INVALID_ARGUMENT, "GA_MAX_ISA is '%s'; it must be one of scalar, neon, avx2, avx512, avx512_bf16", name);
}

void create(const ga_runtime_options *options, ga_runtime *runtime) {
  if (!options) refuse(GA_INVALID_ARGUMENT, "options is NULL");
  if (!runtime) refuse(GA_INVALID_ARGUMENT, "runtime is NULL");
  check_struct_size("ga_runtime_options", options->struct_size, sizeof *options);
  if (options->threads < 1 || options->threads > 1024) refuse(GA_INVALID_ARGUMENT, "threads is %d; it must be from 1 to 1024", options->threads);
  if (options->max_isa < 0 || options->max_isa > GA_ISA_COUNT) refuse(GA_INVALID_ARGUMENT, "max_isa is %d; it must be from 0 to %d", options->max_isa, GA_ISA_COUNT);
  const ga_isa cap = environment_cap();
  const ga_isa isa = best_isa(options->max_isa < cap ? options->max_isa : cap);
  auto created = std::make_unique<Runtime>(isa, options->threads);
  const ga_runtime handle = publish(created.get());
  if (handle == 0) refuse(GA_OUT_OF_MEMORY, "1024 runtimes are open already; close one, or share one between callers");
  created.release();
  *runtime = handle;
}

void query(ga_runtime runtime, ga_runtime_info *info) {
  if (!info) refuse(GA_INVALID_ARGUMENT, "info is NULL");
  check_struct_size("ga_runtime_info", info->struct_size, sizeof *info);
  const RuntimeUse use(runtime);
  Runtime &r = opened(use, runtime);
  info->isa = r.kernels.isa;
  info->threads = r.pool.threads();
  info->workspace_bytes = r.workspaces.bytes_held();
}

int64_t key_lengths_bytes(const Problem &p) { return p.key_lengths.data ? round_up(p.batch * 4, 64) : 0; }

int64_t total_workspace(const Problem &p, const Schedule &s, const Runtime &r) { return workspace_bytes(s, r.pool.threads()) + key_lengths_bytes(p); }

double visible_pairs(const Problem &p) {
  double pairs = 0;
  for (int64_t b = 0; b < p.batch; b++)
    for (int64_t i = 0; i < p.seq_q; i++) {
      const KeyRange r = visible_keys(p, p.key_length(b), i);
      if (r.lo < r.hi) pairs += static_cast<double>(r.hi - r.lo);
    }
  return pairs * p.heads_q;
}

int64_t tensor_bytes(const Problem &p) {
  const double q_rows = static_cast<double>(p.batch) * static_cast<double>(p.seq_q) * p.heads_q, k_rows = static_cast<double>(p.batch) * static_cast<double>(p.seq_k) * p.heads_kv;
  double bytes = (q_rows * (p.head_dim + p.head_dim_v) + k_rows * (p.head_dim + p.head_dim_v)) * p.q.element_bytes;
  if (p.gate.data) bytes += q_rows * (p.gate.dim ? p.head_dim_v : 1) * p.gate.element_bytes;
  if (p.lse.data) bytes += q_rows * 4;
  return static_cast<int64_t>(bytes);
}

void plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan) {
  if (!plan) refuse(GA_INVALID_ARGUMENT, "plan is NULL");
  check_struct_size("ga_attention_plan", plan->struct_size, sizeof *plan);
  const RuntimeUse use(runtime);
  Runtime &r = opened(use, runtime);
  const Problem p = checked_problem(params, Purpose::kPlan);
  const Schedule s = checked_schedule(p, r.kernels);
  plan->isa = r.kernels.isa;
  plan->threads = r.pool.threads();
  plan->query_block = static_cast<int32_t>(s.phase == kPrefill ? s.query_block : s.rows);
  plan->key_block = static_cast<int32_t>(s.phase == kPrefill ? kKeyBlock : s.chunk_keys(p.seq_k));
  plan->tasks = s.tasks;
  plan->workspace_bytes = total_workspace(p, s, r);
  plan->flop = static_cast<int64_t>(2.0 * (p.head_dim + p.head_dim_v) * visible_pairs(p));
  plan->bytes = tensor_bytes(p);
  constexpr const char *kTypes[] = {"f32", "bf16", "f16"};
  std::snprintf(plan->kernel, sizeof plan->kernel, "%s_%s_%s", s.phase == kPrefill ? "prefill" : "decode", kTypes[p.dtype()], isa_name(r.kernels.isa));
}

void attend(ga_runtime runtime, const ga_attention_params *params) {
  const RuntimeUse use(runtime);
  Runtime &r = opened(use, runtime);
  Problem p = checked_problem(params, Purpose::kForward);
  const Schedule s = checked_schedule(p, r.kernels);
  const int64_t needed = total_workspace(p, s, r);
  const auto run = [&](char *workspace) {
    const int64_t scratch = workspace_bytes(s, r.pool.threads());
    copy_key_lengths(p, reinterpret_cast<int32_t *>(workspace + scratch));
    forward(p, s, r.kernels, r.pool, workspace);
  };
  if (!params->workspace) return run(Borrowed(r.workspaces, needed).get());
  if (params->workspace_bytes < needed)
    refuse(GA_INVALID_ARGUMENT, "workspace_bytes is %lld, but the call needs %lld", static_cast<long long>(params->workspace_bytes), static_cast<long long>(needed));
  run(static_cast<char *>(params->workspace));
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
  return ga::guarded(error, [&] { ga::create(options, runtime); });
}

ga_status ga_runtime_close(ga_runtime runtime, ga_error *error) noexcept {
  return ga::guarded(error, [&] {
    ga::Runtime *closed = ga::retire(runtime);
    if (!closed) ga::refuse(GA_INVALID_HANDLE, "runtime %llu is not open: it was closed, or never created", static_cast<unsigned long long>(runtime));
    delete closed;
  });
}

ga_status ga_runtime_query(ga_runtime runtime, ga_runtime_info *info, ga_error *error) noexcept {
  return ga::guarded(error, [&] { ga::query(runtime, info); });
}

ga_status ga_attention_plan_for(ga_runtime runtime, const ga_attention_params *params, ga_attention_plan *plan, ga_error *error) noexcept {
  return ga::guarded(error, [&] { ga::plan_for(runtime, params, plan); });
}

ga_status ga_attention_forward(ga_runtime runtime, const ga_attention_params *params, ga_error *error) noexcept {
  return ga::guarded(error, [&] { ga::attend(runtime, params); });
}

ga_status ga_attention_forward_holding(ga_runtime runtime, const ga_attention_params *params, ga_error *error, const void *, const void *, const void *,
                                       const void *, const void *, const void *, const void *, const void *, const void *) noexcept {
  return ga_attention_forward(runtime, params, error);
}

}  // extern "C"
