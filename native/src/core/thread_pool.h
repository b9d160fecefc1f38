// Threads that help a caller through one job at a time.
//
// The caller always works itself and never waits for a helper to wake up: a job is a set of tasks claimed one by one, and
// whoever comes, helps. After a job, helpers watch for the next one for some microseconds, then sleep.
#pragma once

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstdint>

#include "core/number.h"

namespace ga {

class ThreadPool {
 public:
  // work(context, participant): participant 0 is the caller, helpers have 1 .. threads - 1.
  using Work = void (*)(void *context, int participant);

  // Starts threads - 1 helpers, or as many as the system allows.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  // Calls work on this thread and on those helpers that come in time; returns when all have left it. When the helpers
  // are busy with another caller's job, this thread works alone.
  void run(Work work, void *context);

  int threads() const { return helpers_ + 1; }
  bool complete() const { return complete_; }  // false: there was no memory for the table of helpers

 private:
  struct Helper {
    ThreadPool *pool;
    pthread_t thread;
    int participant;
  };
  static void *helper_main(void *helper);
  void help(int participant);
  bool wait_for_job(uint64_t &seen);

  static constexpr int kMaxThreads = 1024;
  // Low 32 bits: helpers inside of the job. High 32 bits: a number that is odd while a job is open.
  alignas(64) std::atomic<uint64_t> state_{0};
  alignas(64) std::atomic<bool> taken_{false};
  std::atomic<bool> stop_{false};
  std::atomic<int> sleeping_{0};
  Work work_ = nullptr;
  void *context_ = nullptr;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake_ = PTHREAD_COND_INITIALIZER;
  int helpers_ = 0;
  Helper *helper_ = nullptr;
  bool complete_ = true;
};

// One pass of a spin loop.
GA_ALWAYS_INLINE void spin_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

// Until `reached()`, which is in the hands of threads that run.
template <class Reached>
GA_ALWAYS_INLINE void spin_until(const Reached &reached) {
  for (int spins = 1; !reached(); spins++) {
    spin_pause();
    if (spins % 4096 == 0) sched_yield();
  }
}

}  // namespace ga
