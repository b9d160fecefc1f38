// A list of tasks that threads work off together: each claims the next one, and may wait until all are done.
#pragma once

#include <atomic>

#include "core/schedule.h"
#include "core/thread_pool.h"

namespace ga {

struct alignas(kClaimsBytes) Claims {
  std::atomic<int64_t> next, done;  // all bits 0 at first

  template <class Run>
  void work(int64_t tasks, const Run &run) {
    if (next.load(std::memory_order_relaxed) >= tasks) return;
    for (int64_t t; (t = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) {
      run(t);
      done.fetch_add(1, std::memory_order_release);
    }
  }
  // For those that others claimed.
  void wait(int64_t tasks) const {
    spin_until([&] { return done.load(std::memory_order_acquire) >= tasks; });
  }
};
static_assert(sizeof(Claims) == kClaimsBytes);

}  // namespace ga
