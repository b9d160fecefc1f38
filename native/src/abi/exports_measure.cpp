// The door of the measurements.
#include "abi/device_calls.h"
#include "abi/lengths.h"
#include "abi/open_runtime.h"
#include "abi/validate_measure.h"

namespace ga {
namespace {

bool measure_attention(ga_runtime handle, const ga_measure_params *params, Refusal &no) {
  const OpenRuntime runtime(handle, no);
  Measure m;
  if (!runtime.get() || !check_on_cpu(*runtime.get(), "measuring", no) || !check_measure(params, m, no)) return false;
  if (m.ranges == 0 && !m.entropy && m.map_rows == 0 && !m.rows) return true;  // nothing is asked for
  Runtime &r = *runtime.get();
  const int64_t lengths = lengths_bytes(m.p);
  const BorrowedMemory copies(r.workspaces, lengths + 64, no);
  if (!copies.get() || !copy_lengths(m.p, copies.get(), no)) return false;
  const BorrowedMemory scratch(r.workspaces, measure_bytes(m, r.pool.threads()), no);
  if (!scratch.get()) return false;
  measure(m, r.kernels, r.pool, scratch.get());
  return true;
}

bool count_values(ga_runtime handle, const ga_values_params *params, Refusal &no) {
  const OpenRuntime runtime(handle, no);
  Values v;
  if (!runtime.get() || !check_on_cpu(*runtime.get(), "measuring", no) || !check_values(params, v, no)) return false;
  Runtime &r = *runtime.get();
  const BorrowedMemory scratch(r.workspaces, values_bytes(v), no);
  if (!scratch.get()) return false;
  measure_values(v, r.kernels, r.pool, scratch.get());
  return true;
}

}  // namespace
}  // namespace ga

extern "C" {

ga_status ga_attention_measure(ga_runtime runtime, const ga_measure_params *params, ga_error *error, const void *,
                               const void *, const void *, const void *, const void *, const void *, const void *,
                               const void *, const void *, const void *) noexcept {
  ga::Refusal no;
  ga::measure_attention(runtime, params, no);
  return no.report(error);
}

ga_status ga_measure_values(ga_runtime runtime, const ga_values_params *params, ga_error *error, const void *) noexcept {
  ga::Refusal no;
  ga::count_values(runtime, params, no);
  return no.report(error);
}

}  // extern "C"
