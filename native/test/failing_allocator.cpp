#include "failing_allocator.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

// The system's own, under the names that never come back here.
extern "C" {
void *__libc_calloc(size_t count, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *memory);
}

namespace gatest {
namespace {

struct Block {
  void *memory;
  int64_t bytes;
};

struct State {
  uintptr_t begin = 0, end = 0;  // where the library's code lies
  std::atomic<int64_t> countdown{0};
  std::atomic<bool> armed{false}, all{false}, fired{false}, thread{false};
  std::array<Block, 256> held{};
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
};
State state;

int find_library(dl_phdr_info *info, size_t, void *) {
  if (std::strstr(info->dlpi_name, "libgatedattention") == nullptr) return 0;
  state.begin = info->dlpi_addr;
  for (int n = 0; n < info->dlpi_phnum; n++)
    state.end = std::max<uintptr_t>(state.end, info->dlpi_addr + info->dlpi_phdr[n].p_vaddr + info->dlpi_phdr[n].p_memsz);
  return 1;
}

bool in_library(const void *caller) {
  if (state.end == 0) dl_iterate_phdr(find_library, nullptr);
  const auto at = reinterpret_cast<uintptr_t>(caller);
  return at >= state.begin && at < state.end;
}

// Whether an allocation of the library that comes now is to fail.
bool strikes(bool thread) {
  if (!state.armed.load()) return false;
  const int64_t left = state.countdown.fetch_sub(1) - 1;
  const bool strike = left == 0 || (left < 0 && state.all.load());
  if (strike && !state.fired.exchange(true)) state.thread.store(thread);
  return strike;
}

void *noted(void *memory, size_t bytes) {
  pthread_mutex_lock(&state.mutex);
  const auto free_place = std::find_if(state.held.begin(), state.held.end(), [](const Block &b) { return !b.memory; });
  if (free_place == state.held.end()) abort();  // the tests never have so many
  *free_place = {memory, static_cast<int64_t>(bytes)};
  pthread_mutex_unlock(&state.mutex);
  return memory;
}

void forget(const void *memory) {
  pthread_mutex_lock(&state.mutex);
  for (Block &block : state.held)
    if (block.memory == memory) block = {};
  pthread_mutex_unlock(&state.mutex);
}

}  // namespace

Failure::Failure(int64_t n, Fails fails) {
  state.fired.store(false);
  state.thread.store(false);
  state.all.store(fails == Fails::kAllFromThereOn);
  state.countdown.store(n);
  state.armed.store(true);
}

Failure::~Failure() { state.armed.store(false); }

bool Failure::fired() const { return state.fired.load(); }

bool Failure::of_a_thread() const { return state.thread.load(); }

int64_t for_each_allocation(Fails fails, const std::function<void(const Failure &)> &call) {
  constexpr int64_t most = 100;  // no export allocates so often
  for (int64_t n = 1; n <= most; n++) {
    const Failure failure(n, fails);
    call(failure);
    if (!failure.fired()) return n - 1;
  }
  ADD_FAILURE() << "the injection never ends";
  return most;
}

Held held_by_the_library() {
  Held held{};
  for (const Block &block : state.held)
    if (block.memory) {
      held.blocks++;
      held.bytes += block.bytes;
    }
  return held;
}

}  // namespace gatest

extern "C" {

void *calloc(size_t count, size_t size) noexcept {
  if (!gatest::in_library(__builtin_return_address(0))) return __libc_calloc(count, size);
  return gatest::strikes(false) ? nullptr : gatest::noted(__libc_calloc(count, size), count * size);
}

void *aligned_alloc(size_t alignment, size_t size) noexcept {
  if (!gatest::in_library(__builtin_return_address(0))) return __libc_memalign(alignment, size);
  return gatest::strikes(false) ? nullptr : gatest::noted(__libc_memalign(alignment, size), size);
}

void free(void *memory) noexcept {
  if (memory != nullptr && gatest::in_library(__builtin_return_address(0))) gatest::forget(memory);
  __libc_free(memory);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) noexcept {
  using Create = int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
  static const auto create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (gatest::in_library(__builtin_return_address(0)) && gatest::strikes(true)) return EAGAIN;
  return create(thread, attributes, start, argument);
}

}  // extern "C"
