// Turns a caller's parameters into a Problem, or refuses them. Nothing behind this door sees an unchecked value.
#pragma once

#include "core/problem.h"

namespace ga {

enum class Purpose {
  kPlan,    // addresses may be missing
  kForward  // everything a call touches must be there
};

// Throws Refusal. key_lengths' values are checked by copy_key_lengths, since the caller could change them meanwhile.
Problem checked_problem(const ga_attention_params *params, Purpose purpose);

// Copies the key lengths to where nobody else writes, checks the copy, and makes the problem use it.
void copy_key_lengths(Problem &p, int32_t *to);

// Throws Refusal when struct_size is not one that was ever released.
void check_struct_size(const char *name, int64_t given, int64_t known);

}  // namespace ga
