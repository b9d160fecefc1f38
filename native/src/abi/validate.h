// Turns a caller's parameters into a Problem, a BackwardProblem or a Merge, or refuses them. Nothing behind this door sees an unchecked value.
#pragma once

#include "abi/refusal.h"
#include "core/backward_problem.h"

namespace ga {

enum class Purpose {
  kPlan,  // addresses may be missing
  kCall   // everything a call touches must be there
};

// False when it refused. The values of the arrays of lengths are checked by copy_lengths alone (abi/lengths.h): the caller
// could change them meanwhile.
bool check_problem(const ga_attention_params *params, Purpose purpose, Problem &p, Refusal &no);
bool check_backward(const ga_attention_params *forward, const ga_attention_backward_params *backward, Purpose purpose,
                    BackwardProblem &p, Refusal &no);
bool check_merge(const ga_merge_params *params, Merge &m, Refusal &no);

// struct_size must be one that was ever released.
bool check_struct_size(const char *name, int64_t given, int64_t known, Refusal &no);

}  // namespace ga
