// Turns a caller's parameters into a Measure or Values, or refuses them.
#pragma once

#include "abi/refusal.h"
#include "core/measure.h"

namespace ga {

// False when they refused. The arrays of lengths are checked by copy_lengths alone (abi/lengths.h).
bool check_measure(const ga_measure_params *params, Measure &m, Refusal &no);
bool check_values(const ga_values_params *params, Values &v, Refusal &no);

}  // namespace ga
