// The door of the prologue, the epilogue, and the backward of both.
#include "abi/device_calls.h"
#include "abi/open_runtime.h"
#include "abi/validate_prologue.h"
#include "core/runtime.h"

namespace ga {
namespace {

// Scratch begins with the copies of positions and slots.
bool run(Prologue &p, bool backward, Runtime &r, Refusal &no) {
  const int64_t copies = numbers_bytes(p), scratch = cut_prologue(p, backward, r.pool.threads());
  const BorrowedMemory memory(r.workspaces, copies + scratch, no);
  if (!memory.get() || !copy_numbers(p, memory.get(), no)) return false;
  if (backward)
    prologue_backward(p, r.kernels, r.pool, memory.get() + copies);
  else
    prologue(p, r.kernels, r.pool, memory.get() + copies);
  return true;
}

template <class Params>
bool prepare(ga_runtime handle, const Params *params, bool (*check)(const Params *, Prologue &, Refusal &), bool backward,
             Refusal &no) {
  const OpenRuntime runtime(handle, no);
  Prologue p = {};
  return runtime.get() && check_on_cpu(*runtime.get(), "what comes before and after attention", no) &&
         check(params, p, no) && run(p, backward, *runtime.get(), no);
}

}  // namespace
}  // namespace ga

extern "C" {

ga_status ga_prologue(ga_runtime runtime, const ga_prologue_params *params, ga_error *error, const void *, const void *,
                      const void *, const void *, const void *, const void *, const void *, const void *, const void *,
                      const void *, const void *, const void *, const void *, const void *, const void *,
                      const void *) noexcept {
  ga::Refusal no;
  ga::prepare(runtime, params, ga::check_prologue, false, no);
  return no.report(error);
}

ga_status ga_prologue_backward(ga_runtime runtime, const ga_prologue_backward_params *params, ga_error *error,
                               const void *, const void *, const void *, const void *, const void *, const void *,
                               const void *, const void *, const void *, const void *, const void *, const void *,
                               const void *, const void *, const void *, const void *, const void *, const void *,
                               const void *, const void *, const void *, const void *, const void *,
                               const void *) noexcept {
  ga::Refusal no;
  ga::prepare(runtime, params, ga::check_prologue_backward, true, no);
  return no.report(error);
}

ga_status ga_epilogue(ga_runtime runtime, const ga_epilogue_params *params, ga_error *error, const void *, const void *,
                      const void *, const void *) noexcept {
  ga::Refusal no;
  ga::prepare(runtime, params, ga::check_epilogue, false, no);
  return no.report(error);
}

ga_status ga_epilogue_backward(ga_runtime runtime, const ga_epilogue_backward_params *params, ga_error *error,
                               const void *, const void *, const void *, const void *, const void *) noexcept {
  ga::Refusal no;
  ga::prepare(runtime, params, ga::check_epilogue_backward, true, no);
  return no.report(error);
}

}  // extern "C"
