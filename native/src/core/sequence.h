// Where the rows and keys of one sequence lie, read from the arrays of lengths: by the CPU from a copy, by a GPU from its own
// memory, where a cache grows without the host.
#pragma once

#include "core/problem.h"

namespace ga {

static GA_ALWAYS_INLINE int64_t clamped(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static GA_ALWAYS_INLINE int64_t length_at(const View &view, int64_t b) {
  const auto *at = reinterpret_cast<const int32_t *>(view.at(b, 0, 0));
#ifdef __CUDA_ARCH__
  return *at;
#else
  return __atomic_load_n(at, __ATOMIC_RELAXED);
#endif
}

// Whatever the arrays of lengths hold: values that are out of range count as the nearest allowed one. Where the host can read
// them they are refused before anything is computed, and must not harm before that.
static GA_ALWAYS_INLINE Sequence sequence_of(const Problem &p, int64_t b) {
  Sequence s = {b, 0, p.seq_q, 0, b, 0, nullptr, p.seq_k};
  if (p.cu_seqlens_q.data) {
    s.query_entry = 0;
    s.query_row = clamped(length_at(p.cu_seqlens_q, b), 0, p.seq_q);
    s.queries = clamped(length_at(p.cu_seqlens_q, b + 1) - s.query_row, 0, p.seq_q - s.query_row);
  } else if (p.query_lengths.data) {
    s.queries = clamped(length_at(p.query_lengths, b), 0, p.seq_q);
    s.padding = p.seq_q - s.queries;
  }
  if (p.cu_seqlens_k.data) {
    s.key_entry = 0;
    s.key_row = clamped(length_at(p.cu_seqlens_k, b), 0, p.seq_k);
    s.keys = clamped(length_at(p.cu_seqlens_k, b + 1) - s.key_row, 0, p.seq_k - s.key_row);
  } else if (p.key_lengths.data) {
    s.keys = clamped(length_at(p.key_lengths, b), 0, p.seq_k);
  }
  if (p.key_starts.data) {
    s.key_row = clamped(length_at(p.key_starts, b), 0, s.keys);
    s.keys -= s.key_row;
  }
  if (p.block_table.data) s.pages = reinterpret_cast<const int32_t *>(p.block_table.at(b, 0, 0));
  return s;
}

}  // namespace ga
