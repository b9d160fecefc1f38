// What the backward pass will read soon and no hardware foresees, fetched a little at a time while something else is multiplied: the
// rows of the next block of query rows, which lie far apart in memory, and the sums of dQ that this block adds to.
#pragma once

#include "core/backward_schedule.h"

namespace ga::GA_ISA {
namespace {

class BackwardFetch {
 public:
  // stored_dy: dY of all rows where it is not dout itself, of so many bytes each.
  BackwardFetch(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part, int64_t head,
                const char *stored_dy, int64_t stored_bytes)
      : p_(p), s_(s), part_(part), of_(part.sequence), head_(head), stored_dy_(stored_dy), stored_bytes_(stored_bytes) {}

  // `calls` calls of some() will fetch the rows before those of this block, from the last one down, where wanted, and the bytes of the sums.
  void plan(int64_t query_block, bool rows, const float *sums, int64_t bytes, int64_t calls) {
    row_ = query_block * part_.query_block - 1;
    end_row_ = row_ - part_.query_block;
    if (end_row_ < -1 || calls == 0 || !rows) end_row_ = row_;
    rows_per_call_ = calls > 0 ? ceil_div(part_.query_block, calls) : 0;
    sums_ = reinterpret_cast<const char *>(sums);
    end_sums_ = sums_ + bytes;
    bytes_per_call_ = calls > 0 ? round_up(ceil_div(bytes, calls), 64) : 0;
  }

  GA_ALWAYS_INLINE void some() {
    for (int64_t n = 0; n < rows_per_call_ && row_ > end_row_; n++, row_--) {
      const int64_t i = of_.query_row + row_ / p_.group, head = head_ * p_.group + row_ % p_.group;
      fetch(p_.q.at(of_.query_entry, i, head), p_.head_dim * p_.q.element_bytes);
      if (s_.stores_dy)
        fetch(stored_dy_ + stored_row(p_, of_.query_entry, i, head) * stored_bytes_, stored_bytes_);
      else
        fetch(p_.dout.at(of_.query_entry, i, head), p_.head_dim_v * p_.dout.element_bytes);
    }
    for (int64_t byte = 0; byte < bytes_per_call_ && sums_ < end_sums_; byte += 64, sums_ += 64)
      __builtin_prefetch(sums_, 1, 2);
  }

 private:
  GA_ALWAYS_INLINE static void fetch(const char *at, int64_t bytes) {
    for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(at + byte, 0, 2);
  }

  const BackwardProblem &p_;
  const BackwardSchedule &s_;
  const BackwardPart &part_;
  const Sequence &of_;
  const int64_t head_;
  const char *stored_dy_;
  const int64_t stored_bytes_;
  int64_t row_ = 0, end_row_ = 0, rows_per_call_ = 0, bytes_per_call_ = 0;
  const char *sums_ = nullptr, *end_sums_ = nullptr;
};

}  // namespace
}  // namespace ga::GA_ISA
