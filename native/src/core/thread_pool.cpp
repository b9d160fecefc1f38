#include "core/thread_pool.h"

#include <signal.h>
#include <time.h>

#include <cstdlib>

namespace ga {
namespace {

constexpr uint64_t kInside = 0xffffffffu;  // mask of the count of helpers
constexpr int64_t kWatchNanos = 100'000;   // how long an idle helper watches before it sleeps

uint64_t number(uint64_t state) { return state >> 32; }
bool is_open(uint64_t state) { return number(state) & 1; }

int64_t now_nanos() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  if (threads > kMaxThreads) threads = kMaxThreads;
  if (threads <= 1) return;
  helper_ = static_cast<Helper *>(std::calloc(static_cast<size_t>(threads - 1), sizeof(Helper)));
  complete_ = helper_ != nullptr;
  if (!complete_) return;
  // Signals belong to the threads of the host program: helpers take none.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (int i = 0; i < threads - 1; i++) {
    helper_[i] = {this, {}, i + 1};
    if (pthread_create(&helper_[i].thread, nullptr, helper_main, &helper_[i]) != 0) break;
    helpers_++;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  pthread_mutex_lock(&mutex_);
  pthread_cond_broadcast(&wake_);
  pthread_mutex_unlock(&mutex_);
  for (int i = 0; i < helpers_; i++) pthread_join(helper_[i].thread, nullptr);
  std::free(helper_);
  pthread_cond_destroy(&wake_);
  pthread_mutex_destroy(&mutex_);
}

void *ThreadPool::helper_main(void *argument) {
  const Helper *helper = static_cast<const Helper *>(argument);
  helper->pool->help(helper->participant);
  return nullptr;
}

void ThreadPool::help(int participant) {
  uint64_t seen = 0;  // number of the last job this helper took part in
  while (wait_for_job(seen)) {
    work_(context_, participant);
    state_.fetch_sub(1, std::memory_order_release);
  }
}

// Enters the next open job (true), or returns false when the pool stops.
bool ThreadPool::wait_for_job(uint64_t &seen) {
  int64_t deadline = 0;
  for (int spins = 0;; spins++) {
    uint64_t state = state_.load(std::memory_order_acquire);
    if (is_open(state) && number(state) != seen) {
      if (state_.compare_exchange_weak(state, state + 1, std::memory_order_acquire)) {
        seen = number(state);
        return true;
      }
      continue;
    }
    if (stop_.load(std::memory_order_relaxed)) return false;
    if (spins % 64 != 63) {
      spin_pause();
      continue;
    }
    const int64_t now = now_nanos();
    if (deadline == 0) deadline = now + kWatchNanos;
    if (now < deadline) continue;
    pthread_mutex_lock(&mutex_);
    sleeping_.fetch_add(1);
    // run() opens a job first and looks for sleepers second, so one of the two sees the other.
    state = state_.load();
    while (!(is_open(state) && number(state) != seen) && !stop_.load()) {
      pthread_cond_wait(&wake_, &mutex_);
      state = state_.load();
    }
    sleeping_.fetch_sub(1);
    pthread_mutex_unlock(&mutex_);
    deadline = 0;
  }
}

void ThreadPool::run(Work work, void *context) {
  if (helpers_ == 0 || taken_.exchange(true, std::memory_order_acquire)) return work(context, 0);
  work_ = work;
  context_ = context;
  state_.fetch_add(uint64_t{1} << 32);  // open
  if (sleeping_.load() > 0) {
    pthread_mutex_lock(&mutex_);
    pthread_cond_broadcast(&wake_);
    pthread_mutex_unlock(&mutex_);
  }
  work(context, 0);
  state_.fetch_add(uint64_t{1} << 32);  // closed: nobody enters any more
  spin_until([&] { return (state_.load(std::memory_order_acquire) & kInside) == 0; });
  taken_.store(false, std::memory_order_release);
}

}  // namespace ga
