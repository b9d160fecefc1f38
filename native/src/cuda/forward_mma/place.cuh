// What a block computes: which rows of which sequence, and which keys they see.
#pragma once

#include "core/mask.h"
#include "cuda/forward_mma/tiling.h"

namespace ga::cuda::prefill {

// Whose block this is: the last sequence that begins at or before it.
static GA_ALWAYS_INLINE Task task_of_packed(const Problem &p, const Tasks &tasks, int query_block, int64_t n) {
  const int64_t id = tasks.count / p.heads_kv - 1 - n / p.heads_kv;  // late ones first, heads side by side
  const auto begin = [&](int64_t b) {
    return first_block(clamped(length_at(p.cu_seqlens_q, b), 0, p.seq_q), p.group, query_block, b);
  };
  int64_t low = 0, high = p.batch;  // begin(low) <= id < begin(high), as far as the lengths make sense
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (begin(middle) <= id ? low : high) = middle;
  }
  return {static_cast<int32_t>(low), static_cast<int32_t>(n % p.heads_kv), static_cast<int32_t>(id - begin(low))};
}

static GA_ALWAYS_INLINE Place place_of(const Problem &p, const Tasks &tasks, int query_block, int64_t n) {
  const Task task = p.cu_seqlens_q.data ? task_of_packed(p, tasks, query_block, n)
                                        : task_of(tasks, p.batch * p.heads_kv, p.heads_kv, n);
  Place at = {};
  at.of = sequence_of(p, task.batch);
  const int64_t attending = at.of.queries * p.group, all = (at.of.queries + at.of.padding) * p.group;
  const int64_t row0 = static_cast<int64_t>(task.block) * query_block;
  if (row0 < 0 || row0 >= all) return at;  // whatever lengths that make no sense lead to
  at.head = task.head;
  at.row0 = static_cast<int32_t>(row0);
  at.rows = static_cast<int32_t>(clamped(all - row0, 0, query_block));
  // Not limited, as good as so: no position and no number of keys is above 2^30 (too_large).
  constexpr int64_t far = INT64_C(1) << 30;
  const int64_t shift = at.of.keys - at.of.queries;
  at.keys = static_cast<int32_t>(at.of.keys);
  at.lo_shift = static_cast<int32_t>(p.window_left < 0 ? -far : clamped(shift - p.window_left, -far, far));
  at.hi_shift = static_cast<int32_t>(p.window_right < 0 ? far : clamped(shift + p.window_right + 1, -far, far));
  if (row0 >= attending) return at;  // rows of padding see nothing
  const bool padded = at.row0 + query_block > attending;
  const int64_t last = (padded ? attending - 1 : at.row0 + query_block - 1) / p.group;
  const KeyRange low = visible_keys(p, at.of, at.row0 / p.group), high = visible_keys(p, at.of, last);
  at.first_key = static_cast<int32_t>(low.lo);
  at.end_key = static_cast<int32_t>(high.hi);
  if (all > attending && padded) return at;  // some rows see nothing
  at.all_first = static_cast<int32_t>(high.lo);
  at.all_end = static_cast<int32_t>(low.hi);
  return at;
}

// Where key j of a sequence lies in k, v or their scales. A page number that makes no sense reads a wrong page, nothing else.
static GA_ALWAYS_INLINE const char *key_row(const Problem &p, const Sequence &of, const View &view, int j, int head) {
  if (!of.pages) return view.at(of.key_entry, of.key_row + j, head);
  const uint32_t at = static_cast<uint32_t>(of.key_row + j), size = static_cast<uint32_t>(p.page_size);
  return view.at(clamped(of.pages[at / size], 0, p.pages - 1), at % size, head);
}

// How a launch is cut.
static inline Tasks tasks_of(const Problem &p, int query_block, int64_t l2_bytes) {
  if (p.cu_seqlens_q.data) return {(p.seq_q * p.group / query_block + p.batch) * p.heads_kv, 0, 0};
  const int64_t blocks = ceil_div(p.seq_q * p.group, query_block), pairs = p.batch * p.heads_kv;
  const int64_t head_bytes = p.seq_k * (p.head_dim + p.head_dim_v) * p.k.element_bytes;
  const int64_t together = clamped(head_bytes > 0 ? l2_bytes / 2 / head_bytes : pairs, 1, pairs > 0 ? pairs : 1);
  return {blocks * pairs, static_cast<int32_t>(blocks), static_cast<int32_t>(together)};
}

// Why a launch of that many rows and keys is none; nullptr: it is one. Kernels count rows and keys of a sequence in 32 bits.
static inline const char *too_large(const Problem &p, int query_block) {
  constexpr int64_t most = INT64_C(1) << 30;
  if (p.seq_k > most) return "more than 2^30 keys are not in the mma.sync kernels";
  if (p.seq_q > most / p.group) return "more than 2^30 query rows per key/value head are not in the mma.sync kernels";
  if (p.batch > most || p.batch * p.heads_kv > most || tasks_of(p, query_block, 1).count > most)
    return "a launch of more than 2^30 tiles is not in the mma.sync kernels";
  return nullptr;
}

}  // namespace ga::cuda::prefill
