// Which instruction sets this processor and operating system can run, and for the others why not.
#pragma once

#include "gated_attention.h"

namespace ga {

const char *isa_name(ga_isa isa);         // "avx512_bf16"; NULL for a value that is no instruction set
const char *isa_unavailable(ga_isa isa);  // NULL: this build holds it and this machine runs it; else the reason
// The fastest available one not above the cap; GA_ISA_COUNT: no cap. Where avx512_bf16 is slower than avx512 it must be the cap itself.
ga_isa best_isa(ga_isa cap);
// Where decode fetches what it reads next on this processor: to the first cache, or, where that waits for too few lines, to the second.
bool fetches_to_first_cache();

}  // namespace ga
