#include "abi/lengths.h"

#include <cinttypes>
#include <initializer_list>

#include "core/sequence.h"

namespace ga {
namespace {

int64_t pages_per_sequence(const Problem &p) { return ceil_div(p.seq_k, p.page_size); }

int32_t load(const View &view, int64_t b, int64_t s) {
  return __atomic_load_n(reinterpret_cast<const int32_t *>(view.at(b, s, 0)), __ATOMIC_RELAXED);
}

// Hands out the memory of the copies.
class Copies {
 public:
  explicit Copies(char *to) : to_(to) {}

  // The first columns of rows of a table, dense.
  void copy(View &view, int64_t rows, int64_t columns) {
    if (!view.data) return;
    int32_t *copy = reinterpret_cast<int32_t *>(to_);
    for (int64_t b = 0; b < rows; b++)
      for (int64_t s = 0; s < columns; s++) copy[b * columns + s] = load(view, b, s);
    to_ += round_up(rows * columns * 4, 64);
    view.data = reinterpret_cast<char *>(copy);
    view.batch = columns;
    view.sequence = 1;
  }

 private:
  char *to_;
};

bool check_each(const char *name, const View &view, int64_t batch, const char *most_name, int64_t most, Refusal &no) {
  if (!view.data) return true;
  for (int64_t b = 0; b < batch; b++)
    if (const int32_t n = load(view, b, 0); n < 0 || n > most)
      return no.invalid("%s[%" PRId64 "] is %d; it must be from 0 to %s %" PRId64, name, b, n, most_name, most);
  return true;
}

// [batch + 1]: from 0 to the length of the packed axis, never falling.
bool check_cumulative(const char *name, const View &view, int64_t batch, const char *total_name, int64_t total,
                      Refusal &no) {
  if (!view.data) return true;
  if (const int32_t first = load(view, 0, 0); first != 0) return no.invalid("%s[0] is %d; it must be 0", name, first);
  for (int64_t b = 0; b < batch; b++)
    if (const int32_t begin = load(view, b, 0), end = load(view, b + 1, 0); end < begin)
      return no.invalid("%s[%" PRId64 "] is %d, less than the %d before it", name, b + 1, end, begin);
  if (const int32_t last = load(view, batch, 0); last != total)
    return no.invalid("%s[%" PRId64 "] is %d; it must be %s %" PRId64, name, batch, last, total_name, total);
  return true;
}

bool check_starts(const Problem &p, Refusal &no) {
  if (!p.key_starts.data) return true;
  for (int64_t b = 0; b < p.batch; b++) {
    const int64_t length = p.key_lengths.data ? load(p.key_lengths, b, 0) : p.seq_k;
    if (const int32_t start = load(p.key_starts, b, 0); start < 0 || start > length)
      return no.invalid("key_starts[%" PRId64 "] is %d; it must be from 0 to the %" PRId64 " keys of the sequence", b,
                        start, length);
  }
  return true;
}

// The pages that hold keys; what the table says beyond them does not matter.
bool check_pages(const Problem &p, Refusal &no) {
  if (!p.block_table.data) return true;
  for (int64_t b = 0; b < p.batch; b++) {
    const Sequence of = sequence_of(p, b);
    const int64_t used = ceil_div(of.key_row + of.keys, p.page_size);
    for (int64_t i = 0; i < used; i++)
      if (const int32_t page = load(p.block_table, b, i); page < 0 || page >= p.pages)
        return no.invalid("block_table[%" PRId64 "][%" PRId64 "] is %d; it must be from 0 to %" PRId64
                          ", the last of the cache's pages",
                          b, i, page, p.pages - 1);
  }
  return true;
}

}  // namespace

int64_t lengths_bytes(const Problem &p) {
  const int64_t each = round_up(p.batch * 4, 64), cumulative = round_up((p.batch + 1) * 4, 64);
  int64_t bytes = 0;
  for (const View *view : {&p.query_lengths, &p.key_lengths, &p.key_starts}) bytes += view->data ? each : 0;
  for (const View *view : {&p.cu_seqlens_q, &p.cu_seqlens_k}) bytes += view->data ? cumulative : 0;
  if (p.block_table.data) bytes += round_up(p.batch * pages_per_sequence(p) * 4, 64);
  return bytes;
}

bool copy_lengths(Problem &p, char *to, Refusal &no) {
  Copies copies(to);
  for (View *view : {&p.query_lengths, &p.key_lengths, &p.key_starts}) copies.copy(*view, p.batch, 1);
  for (View *view : {&p.cu_seqlens_q, &p.cu_seqlens_k}) copies.copy(*view, p.batch + 1, 1);
  if (p.block_table.data) copies.copy(p.block_table, p.batch, pages_per_sequence(p));
  return check_each("query_lengths", p.query_lengths, p.batch, "seq_q", p.seq_q, no) &&
         check_each("key_lengths", p.key_lengths, p.batch, "seq_k", p.seq_k, no) && check_starts(p, no) &&
         check_cumulative("cu_seqlens_q", p.cu_seqlens_q, p.batch, "seq_q", p.seq_q, no) &&
         check_cumulative("cu_seqlens_k", p.cu_seqlens_k, p.batch, "seq_k", p.seq_k, no) && check_pages(p, no);
}

}  // namespace ga
