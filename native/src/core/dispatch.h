// Runs checked calls: hands their tasks to the threads of a pool.
#pragma once

#include "core/kernels.h"
#include "core/thread_pool.h"

namespace ga {

// Scratch of a call: one part for all threads, then one part per thread.
inline int64_t workspace_bytes(const Schedule &s, int threads) { return s.shared_bytes + threads * s.thread_bytes; }

void forward(const Problem &p, const Schedule &s, const Kernels &kernels, ThreadPool &pool, char *workspace);

void merge(const Merge &m, const Kernels &kernels, ThreadPool &pool);

}  // namespace ga
