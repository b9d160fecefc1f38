#include <algorithm>
#include <cinttypes>

#include "abi/validate_prologue.h"

namespace ga {
namespace {

int32_t load(const View &view, int64_t b, int64_t s) {
  return __atomic_load_n(reinterpret_cast<const int32_t *>(view.at(b, s, 0)), __ATOMIC_RELAXED);
}

int64_t bytes_of(const Prologue &p) { return round_up(p.batch * p.seq * 4, 64); }

int32_t *copy(const Prologue &p, View &view, char *to) {
  auto *copied = reinterpret_cast<int32_t *>(to);
  for (int64_t b = 0; b < p.batch; b++)
    for (int64_t s = 0; s < p.seq; s++) copied[b * p.seq + s] = load(view, b, s);
  view.data = to;
  view.batch = p.seq;
  view.sequence = 1;
  return copied;
}

// No row of the cache twice: who came last would win, and that could be anyone.
bool check_slots(const Prologue &p, const int32_t *slots, int32_t *sorted, Refusal &no) {
  const int64_t tokens = p.batch * p.seq, rows = p.pages * p.page_size;
  int64_t kept = 0;
  for (int64_t n = 0; n < tokens; n++) {
    if (slots[n] < -1 || slots[n] >= rows)
      return no.invalid("slots[%" PRId64 "][%" PRId64 "] is %d; it must be from -1 to %" PRId64 ", the cache's last row",
                        n / p.seq, n % p.seq, slots[n], rows - 1);
    if (slots[n] >= 0) sorted[kept++] = slots[n];
  }
  if (!std::is_sorted(sorted, sorted + kept)) std::sort(sorted, sorted + kept);
  for (int64_t n = 1; n < kept; n++)
    if (sorted[n] == sorted[n - 1])
      return no.invalid("slots has %d twice; a row of the cache is for one token", sorted[n]);
  return true;
}

}  // namespace

int64_t numbers_bytes(const Prologue &p) {
  return (p.positions.data ? bytes_of(p) : 0) + (p.slots.data ? 2 * bytes_of(p) : 0);
}

bool copy_numbers(Prologue &p, char *to, Refusal &no) {
  if (p.positions.data) {
    const int32_t *positions = copy(p, p.positions, to);
    to += bytes_of(p);
    for (int64_t n = 0; n < p.batch * p.seq; n++)
      if (positions[n] < 0 || positions[n] >= p.table_rows)
        return no.invalid("positions[%" PRId64 "][%" PRId64 "] is %d; the tables have %" PRId64 " positions", n / p.seq,
                          n % p.seq, positions[n], p.table_rows);
  }
  if (!p.slots.data) return true;
  const int32_t *slots = copy(p, p.slots, to);
  return check_slots(p, slots, reinterpret_cast<int32_t *>(to + bytes_of(p)), no);
}

}  // namespace ga
