// What one instruction set offers: a table of functions per element type. Each table is filled in src/cpu/isa/<name>.cpp,
// the only code that is compiled for that instruction set.
#pragma once

#include "core/backward_schedule.h"
#include "core/measure.h"
#include "core/prologue.h"
#include "core/schedule.h"

namespace ga {

struct Kernels {
  // Tasks are counted within their part: panels [heads_kv * panels] of pack, tasks [part.tasks], head blocks of merge.
  using Task = void (*)(const Problem &, const Schedule &, const Part &, char *shared, char *own, int64_t task);

  struct PerType {
    void (*pack)(const Problem &, const Schedule &, const Part &, char *shared, int64_t panel);
    Task prefill;
    Task decode;
    Task merge;
    void (*blank)(const Problem &, const Sequence &);                   // the rows after those that attend
    void (*merge_partials)(const Merge &, int64_t first, int64_t end);  // rows [first, end); by the type of out
  };

  // Of a backward call, by the type of q. ungated: Y, if it was recomputed.
  struct Backward {
    void (*rows)(const BackwardProblem &, const BackwardSchedule &, const View &ungated, char *shared, char *own,
                 int64_t unit, int64_t task);
    void (*products)(const BackwardProblem &, const BackwardSchedule &, const BackwardPart &, char *shared, char *own,
                     int64_t head, int64_t key_block);
    void (*sums)(const BackwardProblem &, const BackwardSchedule &, const char *shared);
  };

  static constexpr int kQueryTypes = GA_F16 + 1, kKeyTypes = GA_I8 + 1;

  ga_isa isa;
  Geometry geometry;
  // By the type of q, then that of k and v; empty where the two do not go together.
  PerType type[kQueryTypes][kKeyTypes];
  Backward backward[kQueryTypes];

  void (*measure)(const Measure &, char *own, int64_t task);
  void (*measure_values)(const Values &, int64_t task);

  void (*prologue)(const Prologue &, char *own, int64_t task);
  void (*prologue_backward)(const Prologue &, char *own, int64_t task);
  void (*prologue_sums)(const Prologue &);
};

// The instruction sets this build holds; NULL for the others. first_cache: see fetches_to_first_cache(), which matters to one of them.
const Kernels *kernels_for(ga_isa isa, bool first_cache);

}  // namespace ga
