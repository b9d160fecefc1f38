// Turns a caller's parameters into a Problem, or refuses them. Nothing behind this door sees an unchecked value.
#pragma once

#include "abi/refusal.h"
#include "core/problem.h"

namespace ga {

enum class Purpose {
  kPlan,    // addresses may be missing
  kForward  // everything a call touches must be there
};

// Each returns false when it refused. key_lengths' values are checked by copy_key_lengths alone: the caller could change
// them meanwhile.
bool check_problem(const ga_attention_params *params, Purpose purpose, Problem &p, Refusal &no);

// Copies the key lengths to where nobody else writes, checks the copy, and makes the problem use it.
bool copy_key_lengths(Problem &p, int32_t *to, Refusal &no);

// struct_size must be one that was ever released.
bool check_struct_size(const char *name, int64_t given, int64_t known, Refusal &no);

}  // namespace ga
