// Scratch memory that calls borrow. It grows to what the calls of a program need at once, and then stays.
#pragma once

#include <pthread.h>

#include <cstdint>

namespace ga {

class WorkspacePool {
 public:
  WorkspacePool() = default;
  ~WorkspacePool();
  WorkspacePool(const WorkspacePool &) = delete;
  WorkspacePool &operator=(const WorkspacePool &) = delete;

  // At least that many bytes on a cache line of its own; nullptr when the system has no more.
  char *borrow(int64_t bytes);
  void give_back(char *memory);
  int64_t bytes_held();

 private:
  struct Slab {
    char *memory = nullptr;
    int64_t bytes = 0;
    bool lent = false;
  };
  static constexpr int kSlabs = 64;  // calls at once that keep their memory; more take theirs from the system each time

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Slab slab_[kSlabs];
  int used_ = 0;  // the first so many slabs: the others were never lent
};

}  // namespace ga
