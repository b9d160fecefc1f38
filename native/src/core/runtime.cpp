#include "core/runtime.h"

#include <time.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace ga {
namespace {

// A handle is generation << 10 | slot. A slot's word is generation << 32 | open << 31 | calls in progress.
constexpr int kSlotBits = 10, kSlots = 1 << kSlotBits;
constexpr uint64_t kOpen = uint64_t{1} << 31, kUses = kOpen - 1;

struct Slot {
  std::atomic<uint64_t> word{0};
  std::atomic<bool> taken{false};
  Runtime *runtime = nullptr;
};

Slot slots[kSlots];  // all zero: no constructor runs at load time

uint64_t generation(uint64_t word) { return word >> 32; }
int slot_of(ga_runtime handle) { return static_cast<int>(handle & (kSlots - 1)); }
bool is_open(uint64_t word, ga_runtime handle) { return (word & kOpen) && generation(word) == handle >> kSlotBits; }

}  // namespace

Runtime *make_runtime(ga_isa isa, int threads) {
  void *memory = std::aligned_alloc(alignof(Runtime), sizeof(Runtime));
  if (!memory) return nullptr;
  Runtime *runtime = new (memory) Runtime(isa, threads);
  if (runtime->pool.complete()) return runtime;
  delete_runtime(runtime);
  return nullptr;
}

void delete_runtime(Runtime *runtime) {
  if (runtime->device) runtime->cuda->close(runtime->device);
  runtime->~Runtime();
  std::free(runtime);
}

ga_runtime publish(Runtime *runtime) {
  for (int i = 0; i < kSlots; i++) {
    Slot &slot = slots[i];
    if (slot.taken.exchange(true, std::memory_order_acquire)) continue;
    slot.runtime = runtime;
    const uint64_t next = (generation(slot.word.load(std::memory_order_relaxed)) + 1) & 0xffffffffu;
    const uint64_t fresh = next ? next : 1;
    slot.word.store(fresh << 32 | kOpen, std::memory_order_release);
    return fresh << kSlotBits | static_cast<uint64_t>(i);
  }
  return 0;
}

Runtime *retire(ga_runtime handle) {
  Slot &slot = slots[slot_of(handle)];
  uint64_t word = slot.word.load(std::memory_order_acquire);
  do {
    if (!is_open(word, handle)) return nullptr;
  } while (!slot.word.compare_exchange_weak(word, word & ~kOpen, std::memory_order_acq_rel));
  while ((slot.word.load(std::memory_order_acquire) & kUses) != 0) {
    const timespec pause{0, 50'000};
    nanosleep(&pause, nullptr);
  }
  Runtime *runtime = slot.runtime;
  slot.runtime = nullptr;
  slot.taken.store(false, std::memory_order_release);
  return runtime;
}

RuntimeUse::RuntimeUse(ga_runtime handle) {
  Slot &slot = slots[slot_of(handle)];
  uint64_t word = slot.word.load(std::memory_order_acquire);
  do {
    if (!is_open(word, handle)) return;
  } while (!slot.word.compare_exchange_weak(word, word + 1, std::memory_order_acquire));
  slot_ = slot_of(handle);
  runtime_ = slot.runtime;
}

RuntimeUse::~RuntimeUse() {
  if (slot_ >= 0) slots[slot_].word.fetch_sub(1, std::memory_order_release);
}

}  // namespace ga
