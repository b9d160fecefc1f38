// The arrays of lengths and pages: copied to where nobody else writes, and only then checked and used.
#pragma once

#include "abi/refusal.h"
#include "core/problem.h"

namespace ga {

// Of the copies.
int64_t lengths_bytes(const Problem &p);

// Makes the problem use the copies; false when a value was refused.
bool copy_lengths(Problem &p, char *to, Refusal &no);

}  // namespace ga
