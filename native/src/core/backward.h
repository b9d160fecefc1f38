// Runs checked backward calls: first Y once more where it is needed, then rows, products and sums (backward_schedule.h).
#pragma once

#include "core/backward_schedule.h"
#include "core/kernels.h"
#include "core/thread_pool.h"

namespace ga {

struct BackwardPlan {
  BackwardSchedule schedule;
  Schedule forward;  // of the call that recomputes Y
  int64_t ungated_offset, lengths_offset, workspace_bytes;
};

// False when a size overflows.
bool plan_backward(const BackwardProblem &p, const Kernels &kernels, int threads, BackwardPlan &plan);

// The workspace holds copies of the lengths already, and p reads these. False when they need more than was planned.
bool backward(const BackwardProblem &p, BackwardPlan &plan, const Kernels &kernels, ThreadPool &pool, char *workspace);

}  // namespace ga
