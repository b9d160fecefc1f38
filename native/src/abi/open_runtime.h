// A runtime for the length of a call, and scratch memory from its pool; what cannot be had is refused.
#pragma once

#include <cinttypes>

#include "abi/refusal.h"
#include "core/runtime.h"

namespace ga {

class OpenRuntime {
 public:
  OpenRuntime(ga_runtime handle, Refusal &no) : use_(handle) {
    if (!use_.get())
      no.with(GA_INVALID_HANDLE, "runtime %" PRIu64 " is not open: it was closed, or never created", handle);
  }
  Runtime *get() const { return use_.get(); }  // nullptr: refused

 private:
  const RuntimeUse use_;
};

class BorrowedMemory {
 public:
  BorrowedMemory(WorkspacePool &pool, int64_t bytes, Refusal &no) : pool_(pool), memory_(pool.borrow(bytes)) {
    if (!memory_)
      no.with(GA_OUT_OF_MEMORY, "the call needs %" PRId64 " bytes of scratch memory, and the system has no more", bytes);
  }
  ~BorrowedMemory() {
    if (memory_) pool_.give_back(memory_);
  }
  BorrowedMemory(const BorrowedMemory &) = delete;
  BorrowedMemory &operator=(const BorrowedMemory &) = delete;
  char *get() const { return memory_; }  // nullptr: refused

 private:
  WorkspacePool &pool_;
  char *memory_;
};

}  // namespace ga
