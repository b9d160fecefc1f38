// Turns a caller's parameters into a Projection, or refuses them.
#pragma once

#include "abi/refusal.h"
#include "core/cuda_backend.h"

namespace ga {

// False when it refused.
bool check_projection(const ga_project_params *params, Projection &p, void *&stream, Refusal &no);

}  // namespace ga
