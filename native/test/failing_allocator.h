// The library's allocations, each of which can be made to fail.
//
// A program's own definitions of calloc, aligned_alloc, free and pthread_create come before the system's: in the program that
// this file is linked into, the library's calls end here. Whoever else calls them gets what he always gets.
#pragma once

#include <cstdint>
#include <functional>

namespace gatest {

enum class Fails { kOne, kAllFromThereOn };
constexpr Fails kBoth[] = {Fails::kOne, Fails::kAllFromThereOn};

// While it lives, the library's n-th allocation (from 1), or every one from there on, fails: memory or threads.
class Failure {
 public:
  Failure(int64_t n, Fails fails);
  ~Failure();
  Failure(const Failure &) = delete;
  Failure &operator=(const Failure &) = delete;
  Failure(Failure &&) = delete;
  Failure &operator=(Failure &&) = delete;

  bool fired() const;
  bool of_a_thread() const;  // whether what failed was to start a thread
};

// Makes each allocation of call fail in turn, until none is left to fail. call(failure) runs with it in force and checks what
// comes of it where it fired. Returns how many failed.
int64_t for_each_allocation(Fails fails, const std::function<void(const Failure &)> &call);

// What the library holds at present.
struct Held {
  int64_t blocks, bytes;
  bool operator==(const Held &) const = default;
};
Held held_by_the_library();

}  // namespace gatest
