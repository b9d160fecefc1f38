// Turns a caller's parameters into a Prologue, or refuses them. An epilogue is a prologue of one part.
#pragma once

#include "abi/refusal.h"
#include "core/prologue.h"

namespace ga {

// False when they refused.
bool check_prologue(const ga_prologue_params *params, Prologue &p, Refusal &no);
bool check_prologue_backward(const ga_prologue_backward_params *params, Prologue &p, Refusal &no);
bool check_epilogue(const ga_epilogue_params *params, Prologue &p, Refusal &no);
bool check_epilogue_backward(const ga_epilogue_backward_params *params, Prologue &p, Refusal &no);

// Positions and slots (token_numbers.cpp): copied to where nobody else writes, and only then checked and used.
int64_t numbers_bytes(const Prologue &p);
bool copy_numbers(Prologue &p, char *to, Refusal &no);

}  // namespace ga
