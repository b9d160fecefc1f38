#include "core/problem.h"

namespace ga {
namespace {

int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

int64_t element(const View &view, int64_t b) {
  return __atomic_load_n(reinterpret_cast<const int32_t *>(view.at(b, 0, 0)), __ATOMIC_RELAXED);
}

}  // namespace

Sequence sequence_of(const Problem &p, int64_t b) {
  Sequence s = {b, 0, p.seq_q, 0, b, 0, nullptr, p.seq_k};
  if (p.cu_seqlens_q.data) {
    s.query_entry = 0;
    s.query_row = clamp(element(p.cu_seqlens_q, b), 0, p.seq_q);
    s.queries = clamp(element(p.cu_seqlens_q, b + 1) - s.query_row, 0, p.seq_q - s.query_row);
  } else if (p.query_lengths.data) {
    s.queries = clamp(element(p.query_lengths, b), 0, p.seq_q);
    s.padding = p.seq_q - s.queries;
  }
  if (p.cu_seqlens_k.data) {
    s.key_entry = 0;
    s.key_row = clamp(element(p.cu_seqlens_k, b), 0, p.seq_k);
    s.keys = clamp(element(p.cu_seqlens_k, b + 1) - s.key_row, 0, p.seq_k - s.key_row);
  } else if (p.key_lengths.data) {
    s.keys = clamp(element(p.key_lengths, b), 0, p.seq_k);
  }
  if (p.key_starts.data) {
    s.key_row = clamp(element(p.key_starts, b), 0, s.keys);
    s.keys -= s.key_row;
  }
  if (p.block_table.data) s.pages = reinterpret_cast<const int32_t *>(p.block_table.at(b, 0, 0));
  return s;
}

}  // namespace ga
