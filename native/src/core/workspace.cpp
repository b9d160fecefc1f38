#include "core/workspace.h"

#include <cstdlib>

#include "core/number.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace ga {
namespace {

constexpr int64_t kHugePage = int64_t{2} << 20;

char *allocate(int64_t bytes) {
  const int64_t alignment = bytes >= kHugePage ? kHugePage : 64;
  char *memory = static_cast<char *>(
      std::aligned_alloc(static_cast<size_t>(alignment), static_cast<size_t>(round_up(bytes, alignment))));
#if defined(__linux__)
  // Packed panels are walked over many pages at once; large pages keep that out of the address translation.
  if (memory && alignment == kHugePage) madvise(memory, static_cast<size_t>(round_up(bytes, alignment)), MADV_HUGEPAGE);
#endif
  return memory;
}

class Lock {
 public:
  explicit Lock(pthread_mutex_t &mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock &) = delete;
  Lock &operator=(const Lock &) = delete;

 private:
  pthread_mutex_t &mutex_;
};

}  // namespace

WorkspacePool::~WorkspacePool() {
  for (Slab &s : slab_) std::free(s.memory);
  pthread_mutex_destroy(&mutex_);
}

char *WorkspacePool::borrow(int64_t bytes) {
  if (bytes < 64) bytes = 64;
  const Lock lock(mutex_);
  Slab *fitting = nullptr, *largest = nullptr;
  for (Slab *s = slab_; s < slab_ + used_; s++) {
    if (s->lent) continue;
    if (s->bytes >= bytes && (!fitting || s->bytes < fitting->bytes)) fitting = s;
    if (!largest || s->bytes > largest->bytes) largest = s;
  }
  if (!fitting && !largest && used_ < kSlabs) largest = &slab_[used_++];
  if (!fitting && !largest) return allocate(bytes);
  if (!fitting) {  // grow the largest free one instead of adding to them
    std::free(largest->memory);
    *largest = {};
    largest->memory = allocate(bytes);
    if (!largest->memory) return nullptr;
    largest->bytes = bytes;
    fitting = largest;
  }
  fitting->lent = true;
  return fitting->memory;
}

void WorkspacePool::give_back(char *memory) {
  const Lock lock(mutex_);
  for (Slab &s : slab_)
    if (s.memory == memory) {
      s.lent = false;
      return;
    }
  std::free(memory);
}

int64_t WorkspacePool::bytes_held() {
  const Lock lock(mutex_);
  int64_t total = 0;
  for (const Slab &s : slab_) total += s.bytes;
  return total;
}

}  // namespace ga
