// Which blocks of keys meet a block of query rows, and the gradients of what takes no part at all.
#pragma once

#include "cpu/backward_rows.h"

namespace ga::GA_ISA {
namespace {

struct KeyBlocks {
  int64_t first, end;
};

// The key blocks that some row of the block of query rows sees.
GA_INLINE KeyBlocks key_blocks_of(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part,
                                  int64_t query_block) {
  const int64_t row0 = query_block * part.query_block, left = part.rows - row0;
  const int64_t last = row0 + (left < part.query_block ? left : part.query_block) - 1;
  const int64_t lo = visible_keys(p, part.sequence, row0 / p.group).lo,
                hi = visible_keys(p, part.sequence, last / p.group).hi;
  if (lo >= hi) return {0, 0};
  return {lo / s.key_block, ceil_div(hi, s.key_block)};
}

// Gradients of what takes no part: rows of queries that see no key or are padding, keys outside of the sequence.
GA_INLINE void blank(const BackwardProblem &p, const BackwardSchedule &s, const BackwardPart &part, int64_t head,
                     const float *zeros) {
  const Sequence &of = part.sequence;
  const auto blank_query = [&](int64_t i, int64_t query_head) {
    store_gradient(p.dq, p.dq.at(of.query_entry, of.query_row + i, query_head), zeros, p.head_dim);
  };
  const auto blank_key = [&](int64_t j) {
    if (p.dk.data) store_gradient(p.dk, p.dk.at(of.key_entry, j, head), zeros, p.head_dim);
    if (p.dv.data) store_gradient(p.dv, p.dv.at(of.key_entry, j, head), zeros, p.head_dim_v);
  };
  if (p.dq.data) {
    for (int64_t i = of.queries; i < of.queries + of.padding; i++)
      for (int32_t g = 0; g < p.group; g++) blank_query(i, head * p.group + g);
    for (int64_t b = 0; b < part.query_blocks; b++) {
      if (const KeyBlocks blocks = key_blocks_of(p, s, part, b); blocks.first < blocks.end) continue;
      const int64_t end = (b + 1) * part.query_block < part.rows ? (b + 1) * part.query_block : part.rows;
      for (int64_t r = b * part.query_block; r < end; r++) blank_query(r / p.group, head * p.group + r % p.group);
    }
  }
  if (p.cu_seqlens_k.data) return;
  for (int64_t j = 0; j < of.key_row; j++) blank_key(j);
  for (int64_t j = of.key_row + of.keys; j < p.seq_k; j++) blank_key(j);
}

}  // namespace
}  // namespace ga::GA_ISA
