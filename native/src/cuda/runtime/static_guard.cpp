// Guards of static variables within functions, as the C++ ABI wants them. Those of libstdc++ can throw, and bring the unwinder
// along, which asks for a newer glibc than anything else here (decision 3).
#include <pthread.h>

#include <cstdint>

namespace {

pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t ended = PTHREAD_COND_INITIALIZER;

struct Guard {
  char done;  // what compiled code looks at before it calls
  char busy;
  char unused[6];
};
static_assert(sizeof(Guard) == sizeof(uint64_t));

void end(Guard *guard, bool done) {
  pthread_mutex_lock(&mutex);
  guard->busy = 0;
  __atomic_store_n(&guard->done, done, __ATOMIC_RELEASE);
  pthread_cond_broadcast(&ended);
  pthread_mutex_unlock(&mutex);
}

}  // namespace

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the C++ ABI names them.

// 1: the caller is to initialize the variable.
__attribute__((visibility("hidden"))) int __cxa_guard_acquire(Guard *guard) noexcept {
  pthread_mutex_lock(&mutex);
  while (guard->busy) pthread_cond_wait(&ended, &mutex);
  const bool mine = !guard->done;
  if (mine) guard->busy = 1;
  pthread_mutex_unlock(&mutex);
  return mine;
}
__attribute__((visibility("hidden"))) void __cxa_guard_release(Guard *guard) noexcept { end(guard, true); }
__attribute__((visibility("hidden"))) void __cxa_guard_abort(Guard *guard) noexcept { end(guard, false); }
// NOLINTEND(bugprone-reserved-identifier)
}
