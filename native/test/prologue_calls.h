// The calls without the pointers that only bindings need.
#pragma once

#include "gated_attention.h"

namespace gatest {

inline ga_status prologue(ga_runtime runtime, const ga_prologue_params &p, ga_error *error) {
  const void *n = nullptr;
  return ga_prologue(runtime, &p, error, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
}

inline ga_status prologue_backward(ga_runtime runtime, const ga_prologue_backward_params &p, ga_error *error) {
  const void *n = nullptr;
  return ga_prologue_backward(runtime, &p, error, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n);
}

inline ga_status epilogue(ga_runtime runtime, const ga_epilogue_params &p, ga_error *error) {
  const void *n = nullptr;
  return ga_epilogue(runtime, &p, error, n, n, n, n);
}

inline ga_status epilogue_backward(ga_runtime runtime, const ga_epilogue_backward_params &p, ga_error *error) {
  const void *n = nullptr;
  return ga_epilogue_backward(runtime, &p, error, n, n, n, n, n);
}

}  // namespace gatest
