// What a call costs at least: for ga_attention_plan.
#pragma once

#include "core/backward_problem.h"

namespace ga {

double flop(const Problem &p);         // 2 * (D + Dv) per visible query-key pair
double bytes_moved(const Problem &p);  // inputs read once plus outputs written once

// The same of sequences as long as they may be: what the arrays of lengths say is not read.
double most_flop(const Problem &p);
double most_bytes_moved(const Problem &p);

// Per visible pair: 2 D for scores, 2 Dv for the products of dout with values unless dv alone is wanted, 2 Dv for
// dv, 2 D for dk, 2 D for dq, and 2 (D + Dv) where Y is recomputed.
double backward_flop(const BackwardProblem &p, bool recomputes);
double backward_bytes_moved(const BackwardProblem &p);

}  // namespace ga
