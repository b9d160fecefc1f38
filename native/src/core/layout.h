// Lays out the blocks of a scratch memory.
#pragma once

#include "core/number.h"

namespace ga {

// Bytes between what one thread writes all the time and what another does. Processors fetch lines beyond those that a loop asks
// for, and so take them from whoever writes them.
constexpr int64_t kThreadGap = 8192;

// One block after another, each on its own cache line; remembers whether a size overflowed.
class Layout {
 public:
  int64_t take(int64_t count, int64_t each, int64_t more = 1) {
    int64_t bytes = 0;
    overflow_ |= __builtin_mul_overflow(count, each, &bytes) || __builtin_mul_overflow(bytes, more, &bytes);
    overflow_ |= bytes > kLimit - total_;
    if (overflow_) return 0;
    const int64_t offset = total_;
    total_ += round_up(bytes, 64);
    return offset;
  }
  int64_t total() const { return total_; }
  bool overflow() const { return overflow_; }

 private:
  static constexpr int64_t kLimit = int64_t{1} << 56;
  int64_t total_ = 0;
  bool overflow_ = false;
};

}  // namespace ga
