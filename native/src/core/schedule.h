// How a call is cut into tasks, and what scratch memory it takes.
//
// The cut depends on the shape of one sequence alone, never on the number of threads nor on the other sequences of
// the batch, and partial results are merged in a fixed order: so a row's bits are the same wherever and with
// whomever it is computed.
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
  int width;        // f32 lanes of a vector
  int panel;        // columns of a packed panel
  int fold;         // dot products that decode sums up together
  bool bf16_pairs;  // bf16 is multiplied in pairs instead of widened to f32
};

constexpr int kKeyBlock = 256;        // keys per softmax step of prefill
constexpr int kQueryBlock = 96;       // packed query rows per task of prefill
constexpr int kDecodeMaxRows = 32;    // packed rows (seq_q * group) up to which decode is used
constexpr int kDecodeMinChunk = 128;  // keys per task of decode
constexpr int kDecodeTile = 32;       // keys per softmax step of decode
constexpr int kDecodeMaxChunks = 64;
constexpr int kDecodeRun = 4096;  // bytes of one key's adjacent heads that a decode task reads together, at most

struct Schedule {
  Phase phase;
  int64_t rows;  // packed query rows per key/value head: seq_q * group, row r is position r / group, head r % group

  // Prefill
  int64_t query_block, query_blocks;
  int64_t panels;                  // key panels per head, of the sequence that needs most
  int64_t key_units, value_units;  // 32-bit units of a packed key; packed units along the keys
  int64_t value_panels;            // column panels of V
  int64_t keys_offset, values_offset, flags_offset;

  // Decode
  int64_t chunks;      // most chunks any sequence may need
  int32_t head_block;  // key/value heads per task
  int64_t head_blocks;
  int64_t head_lanes;  // lanes of a vector of scores that one key/value head takes: rows, padded so that folds stay whole
  int64_t lanes;       // of all heads of a task: whole vectors, or a power of two under one
  int64_t partial_floats;  // floats of one row's partial result: maximum, sum, output
  int64_t partials_offset, counters_offset;

  int64_t prepare_tasks, tasks, merge_tasks;
  int64_t shared_bytes, thread_bytes;  // scratch: one for all, and one per thread

  // Rows of Q that a task of decode packs, and 32-bit units between them.
  GA_ALWAYS_INLINE int64_t query_lanes(int least) const { return lanes < least ? least : lanes; }
  GA_ALWAYS_INLINE static int64_t query_units(int64_t units, int width) { return round_up(units, 2 * width); }

  GA_ALWAYS_INLINE int64_t chunk_keys(int64_t key_length) const {
    const int64_t even = round_up(ceil_div(key_length, kDecodeMaxChunks), 64);
    return even < kDecodeMinChunk ? kDecodeMinChunk : even;
  }
  GA_ALWAYS_INLINE int64_t chunks_of(int64_t key_length) const {
    return key_length ? ceil_div(key_length, chunk_keys(key_length)) : 1;
  }
};

// Prefill packs the keys that some row of the sequence sees: from here on, on a block's border.
static GA_ALWAYS_INLINE int64_t first_packed_key(const Problem &p, int64_t key_length) {
  return p.seq_q == 0 ? 0 : visible_keys(p, key_length, 0).lo / kKeyBlock * kKeyBlock;
}

// The scratch is sized for the key lengths as they are; whoever uses the schedule with a later copy of them checks it with
// fits. False when a size overflows.
bool make_schedule(const Problem &p, const Geometry &g, Schedule &s);
bool fits(const Problem &p, const Geometry &g, const Schedule &s);

}  // namespace ga
