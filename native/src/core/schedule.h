// How a call is cut into tasks, and what scratch memory it takes.
//
// A row's keys are cut by the shape of its sequence alone, never by the number of threads nor by the other sequences of the
// batch, and partial results are merged in a fixed order: so its bits are the same wherever and with whomever it is computed.
// How many rows a task of prefill takes changes no bit, as whole tiles of rows stay together.
#pragma once

#include "core/mask.h"
#include "core/number.h"
#include "core/problem.h"

namespace ga {

enum Phase {
  kPrefill,  // many query rows per key/value head: K and V are packed once, then blocked products
  kDecode    // few: K and V are read once where they lie, keys are split over tasks, partials are merged
};

// What a set of kernels was compiled for.
struct Geometry {
  struct Product {  // of blocks of rows, by a panel
    int pack;  // values of the inner dimension per unit of 32 bits: 2 where bf16 is multiplied in pairs, not widened to f32
    int rows;         // of a tile
    int step;         // units that are multiplied at once
    int query_block;  // packed query rows per task of prefill, at most: whole tiles
  };
  int width;  // f32 lanes of a vector
  int panel;  // columns of a packed panel
  int fold;   // dot products that decode sums up together
  Product f32, bf16;
};

constexpr int kKeyBlock = 256;        // keys per softmax step of prefill
constexpr int kTasksPerThread = 4;    // of prefill, at least, so that threads end about together;
constexpr int kLeastQueryBlock = 96;  // but for that no task is cut below so many rows
constexpr int kDecodeMaxRows = 32;    // packed rows (queries * group) up to which decode is used
constexpr int kDecodeMinChunk = 128;  // keys per task of decode
constexpr int kDecodeTile = 32;       // keys per softmax step of decode
constexpr int kDecodeMaxChunks = 64;
constexpr int kMaxShares = 64;       // a phase's tasks are dealt to so many participants at most
constexpr int kShareBytes = 64;      // what is left of a share: on a cache line of its own
constexpr int kClaimsBytes = 64;     // how far a list of tasks is: likewise
constexpr int kScoredTiles = 3;      // tiles of scores that are under way at once in prefill, at most
constexpr int kReferenceBytes = 28;  // per row of prefill
constexpr int kDecodeRun = 4096;     // bytes of one key's adjacent heads that a decode task reads together, at most

// One sequence's share of the work.
struct Part {
  Sequence sequence;
  Phase phase;
  int64_t rows;  // packed query rows per key/value head: queries * group, row r is position r / group, head r % group

  // Prefill
  int64_t query_block, query_blocks;
  int64_t first_packed;  // the first packed key: some row sees it, or one of its block
  int64_t panels;        // key panels per head
  int64_t value_units;   // packed units along the keys

  // Decode
  int64_t chunk_keys, chunks;
  int64_t head_block, head_blocks;  // key/value heads per task
  int64_t head_lanes;               // rows of scores per head, as tile registers want them: padded to whole folds
  int64_t lanes;                    // of all heads of a task: whole vectors, or a power of two under one

  // How much it has of each, and where that begins among all parts
  int64_t tasks, all_panels, partials;
  int64_t first_task, first_head, first_panel, first_partial, first_group;
};

// Sums over all parts, and offsets into the scratch.
struct Schedule {
  bool alike;             // all sequences are: there is one part for all of them
  int64_t prefill_parts;  // they come first
  int64_t parts;
  int64_t query_block, key_block;  // of the first part: packed query rows per task, keys per step
  int64_t prefill_tasks, decode_tasks, panels, partials, groups;
  int64_t heads;           // key/value heads of the parts of prefill
  double products;         // query-key pairs
  int64_t key_units;       // 32-bit units of a packed key, in whole steps
  int64_t value_panels;    // column panels of V
  int64_t partial_floats;  // floats of one row's partial result: maximum, sum, output
  int64_t task_gap;        // bytes between the partial results of one task of decode and those of the next

  int64_t parts_offset, shares_offset, keys_offset, values_offset, key_scales_offset, value_scales_offset, flags_offset,
      packing_offset, partials_offset, counters_offset;
  int64_t shared_bytes, thread_bytes;  // scratch: one for all, and one per thread

  GA_ALWAYS_INLINE int64_t tasks() const { return prefill_tasks + decode_tasks; }
  // 32-bit units between the rows of Q that decode packed.
  GA_ALWAYS_INLINE static int64_t query_units(int64_t units, int width) { return round_up(units, 2 * width); }
};

// The scratch is sized for the lengths as they are: whoever has copied them since makes the parts from the copy. False when a
// size overflows.
bool make_schedule(const Problem &p, const Geometry &g, int threads, Schedule &s);

// Writes the parts into the scratch. False when they need more than the schedule has, because lengths changed meanwhile.
bool make_parts(const Problem &p, const Geometry &g, int threads, Schedule &s, char *shared);

// Whose task (of one phase) it is, counted over all parts; it becomes that of the part alone.
Part part_of_task(const Problem &p, const Schedule &s, const char *shared, Phase phase, int64_t &task);
// Tasks of prefill before those of a key/value head; heads are counted over all parts.
int64_t first_task_of_head(const Problem &p, const Schedule &s, const char *shared, int64_t head);

}  // namespace ga
