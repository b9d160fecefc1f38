// What one instruction set offers: a table of functions per element type. Each table is filled in src/cpu/isa/<name>.cpp,
// the only code that is compiled for that instruction set.
#pragma once

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
    void (*blank)(const Problem &, const Sequence &);  // the rows after those that attend
  };

  ga_isa isa;
  Geometry geometry;
  PerType type[3];  // by ga_dtype: f32, bf16, f16
};

// The instruction sets this build holds; NULL for the others.
const Kernels *kernels_for(ga_isa isa);

}  // namespace ga
