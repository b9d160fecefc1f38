// How a backward call is cut into tasks, and what scratch memory it takes.
//
//   rows       per row of the output: Delta, L in powers of two, dY, the gradients of gate, norm weight and sink
//   products   per few key blocks of a key/value head: dK and dV of the blocks, and their shares of dQ
//   sums       of what the rows left for gradients that are summed up over the sequence or the batch
//
// As forward, what is summed up is so in an order that the sequence's own shape fixes alone.
#pragma once

#include "core/backward_problem.h"
#include "core/schedule.h"

namespace ga {

constexpr int64_t kBackwardKeyBlock = 256;  // keys that rows meet at once, where they fit the second cache
constexpr int64_t kBackwardBlocks = 4;      // of keys per task, at most,
constexpr int kBackwardTasksPerThread =
    8;  // and fewer where that leaves less than so many tasks: the first keys meet most rows
constexpr int64_t kBackwardQueryBlock = 96;  // packed query rows per step; 16-bit pairs: twice as many
constexpr int64_t kBackwardTiles = 2;        // of S and dP that are under way at once, at most
constexpr int64_t kBackwardRows = 32;        // positions per task of the rows
constexpr int64_t kBackwardZeros = 512;      // floats: a row of the largest head_dim
constexpr int64_t kTicketBytes = 64;         // how many key blocks a query block of dQ has: a cache line of its own

// One sequence's share of the products.
struct BackwardPart {
  Sequence sequence;
  int64_t rows;  // packed query rows per key/value head, as in schedule.h
  int64_t query_block, query_blocks;
  int64_t key_blocks;
  int64_t tasks;         // per key/value head: at least one, which also writes the rows outside of the sequence
  int64_t first_row;     // of dQ, as rows of all heads
  int64_t first_ticket;  // of all heads
};

struct BackwardSchedule {
  bool alike;                      // all sequences are: there is one part for all of them
  bool recomputes;                 // Y, by a forward call without gate
  bool folds_gate;                 // a head-wise factor above 0 goes into L and Delta, of 16-bit types: dY is dout
  bool stores_dy;                  // dY differs from dout
  bool attends;                    // a gradient of q, k or v is wanted
  int64_t entries;                 // of the batch axis of queries
  int64_t pack, step, tile_rows;   // of the products: values per unit, units at once, rows of a tile
  int64_t key_units, value_units;  // 32-bit units of a row of k, of v, in whole steps
  int64_t query_block, key_block;  // at most
  int64_t blocks_per_task;         // of keys
  int64_t dq_stride;               // floats of a row of dQ

  // Rows: units of (entry, key/value head), or fewer where a gradient is summed up over these.
  bool sums_batch, sums_sequence, sums_heads;    // the gate's gradient
  bool splits_heads;                             // a task has the heads of one group, else all
  int64_t row_units, row_tasks;                  // tasks per unit
  bool row_units_attend;                         // a unit has all rows that one of the products needs, and no others
  int64_t row_entries, row_heads;                // per task
  int64_t gate_dims, weight_dims;                // elements of a row of their gradients
  int64_t gate_slots, weight_slots, sink_slots;  // rows that a task leaves to the sums

  // Offsets into the scratch. The forward call that recomputes Y has the same memory before, but for Y.
  int64_t parts_offset, claims_offset, tickets_offset, lse_offset, delta_offset, dy_offset, dq_offset;
  int64_t gate_sums_offset, weight_sums_offset, sink_sums_offset;
  int64_t shared_bytes, thread_bytes;
  int64_t tickets;
  int64_t parts;

  GA_ALWAYS_INLINE int64_t units(const BackwardProblem &p) const { return p.batch * p.heads_kv; }
};

// Where L, Delta and dY of a row of the output lie: by key/value heads, so that threads with heads of their own share no line.
GA_ALWAYS_INLINE int64_t stored_row(const BackwardProblem &p, int64_t entry, int64_t i, int64_t head) {
  return ((entry * p.heads_kv + head / p.group) * p.seq_q + i) * p.group + head % p.group;
}

// False when a size overflows.
bool make_backward_schedule(const BackwardProblem &p, const Geometry &g, int threads, BackwardSchedule &s);

// Writes the parts into the scratch, from lengths that nobody else writes any more.
void make_backward_parts(const BackwardProblem &p, const BackwardSchedule &s, char *shared);

// The part of sequence b.
BackwardPart backward_part(const BackwardProblem &p, const BackwardSchedule &s, const char *shared, int64_t b);

// Tasks of the products, with the lengths as they are.
int64_t backward_tasks(const BackwardProblem &p, const BackwardSchedule &s);

// The forward call that gives Y, dense and in f32, at out.
Problem ungated_problem(const BackwardProblem &p, char *out);
int64_t ungated_bytes(const BackwardProblem &p);

}  // namespace ga
