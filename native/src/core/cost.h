// What a call costs at least: for ga_attention_plan.
#pragma once

#include "core/problem.h"

namespace ga {

double flop(const Problem &p);         // 2 * (D + Dv) per visible query-key pair
double bytes_moved(const Problem &p);  // inputs read once plus outputs written once

}  // namespace ga
