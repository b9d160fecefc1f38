#include "core/schedule.h"

namespace ga {
namespace {

// Lays out blocks one after another, each on its own cache line; remembers whether a size overflowed.
class Layout {
 public:
  int64_t take(int64_t count, int64_t each, int64_t more = 1) {
    int64_t bytes = 0;
    overflow_ |= __builtin_mul_overflow(count, each, &bytes) || __builtin_mul_overflow(bytes, more, &bytes);
    overflow_ |= bytes > kLimit - total_;
    if (overflow_) return 0;
    const int64_t offset = total_;
    total_ += round_up(bytes, 64);
    return offset;
  }
  int64_t total() const { return total_; }
  bool overflow() const { return overflow_; }

 private:
  static constexpr int64_t kLimit = int64_t{1} << 56;
  int64_t total_ = 0;
  bool overflow_ = false;
};

constexpr int kTileRowSlack = 8;  // a ragged last tile may touch a few rows more

// The most that any sequence of the batch needs. Lengths out of range count as the nearest allowed one: they are refused
// later, and must not harm here.
template <class Need>
int64_t most_needed(const Problem &p, Need need) {
  int64_t most = 0;
  for (int64_t b = 0; b < (p.key_lengths.data ? p.batch : 1); b++) {
    const int64_t length = p.key_length(b);
    const int64_t n = need(length < 0 ? 0 : length > p.seq_k ? p.seq_k : length);
    if (n > most) most = n;
  }
  return most;
}

int64_t panels_needed(const Problem &p, const Geometry &g) {
  return most_needed(p, [&](int64_t length) { return ceil_div(length - first_packed_key(p, length), g.panel); });
}

int64_t chunks_needed(const Problem &p, const Schedule &s) {
  return most_needed(p, [&](int64_t length) { return s.chunks_of(length); });
}

bool prefill(const Problem &p, const Geometry &g, Schedule &s) {
  const bool pairs = g.bf16_pairs && p.dtype() == GA_BF16;
  const int pack = pairs ? 2 : 1;
  const int64_t even = ceil_div(s.rows, ceil_div(s.rows, kQueryBlock));
  s.query_block = round_up(even, 6);
  s.query_blocks = ceil_div(s.rows, s.query_block);
  s.panels = panels_needed(p, g);
  s.key_units = p.head_dim / pack;
  s.value_units = s.panels * g.panel / pack;
  s.value_panels = ceil_div(p.head_dim_v, g.panel);

  Layout shared;
  int64_t heads = 0, panels = 0, query_blocks = 0;
  bool overflow = __builtin_mul_overflow(p.batch, p.heads_kv, &heads);
  overflow |= __builtin_mul_overflow(heads, s.panels, &panels);
  overflow |= __builtin_mul_overflow(heads, s.query_blocks, &query_blocks);
  s.keys_offset = shared.take(panels, s.key_units * g.panel * 4);
  s.values_offset = shared.take(panels, s.value_panels * g.panel * 4, g.panel / pack);
  s.flags_offset = shared.take(panels, 1);
  s.shared_bytes = shared.total();

  Layout own;
  const int64_t rows = s.query_block + kTileRowSlack;
  own.take(rows, s.key_units * 4);                      // Q, packed
  own.take(rows, kKeyBlock * 4);                        // S, and P in f32
  if (pairs) own.take(rows, kKeyBlock * 2);             // P in bf16
  own.take(rows, round_up(p.head_dim_v, g.width) * 4);  // Y, not yet normalized
  own.take(rows, 3 * g.width * 4);                      // per row: sum, maximum of a key block, running maximum
  own.take(rows, 2 * 8);                                // per row: the keys it sees
  s.thread_bytes = own.total();

  s.prepare_tasks = panels;
  s.tasks = query_blocks;
  s.merge_tasks = 0;
  return !overflow && !shared.overflow() && !own.overflow();
}

int64_t power_of_two(int64_t least) {
  int64_t n = 1;
  while (n < least) n *= 2;
  return n;
}

bool decode(const Problem &p, const Geometry &g, Schedule &s) {
  const int64_t run = int64_t{p.head_dim} * p.k.element_bytes;
  s.head_block = 1;
  while (p.k.head < p.k.sequence && p.heads_kv % (s.head_block * 2) == 0 && s.head_block * run < kDecodeRun &&
         s.head_block * s.rows < 64)
    s.head_block *= 2;
  s.head_blocks = p.heads_kv / s.head_block;
  s.head_lanes = s.rows < g.fold ? power_of_two(s.rows) : round_up(s.rows, g.fold);
  const int64_t lanes = s.head_block * s.head_lanes;
  s.lanes = lanes < g.width ? power_of_two(lanes) : round_up(lanes, g.width);
  s.chunks = chunks_needed(p, s);
  s.partial_floats = 32 + round_up(p.head_dim_v, 2 * g.width);  // pairs of vectors are stored whole

  Layout shared;
  int64_t groups = 0, tasks = 0;
  bool overflow = __builtin_mul_overflow(p.batch, s.head_blocks, &groups);
  overflow |= __builtin_mul_overflow(groups, s.chunks, &tasks);
  s.partials_offset = shared.take(tasks, s.head_block * s.rows * s.partial_floats * 4);
  s.counters_offset = shared.take(groups, 4);
  s.shared_bytes = shared.total();

  Layout own;
  own.take(s.query_lanes(g.fold), s.query_units(p.head_dim, g.width) * 4);  // Q, packed
  own.take(s.lanes, kDecodeTile * 4);                                       // products of one tile of keys
  own.take(s.lanes, kDecodeTile * 4);                                       // their scores
  own.take(s.query_lanes(g.width), 128);                                    // which products are summed together
  s.thread_bytes = own.total();

  s.prepare_tasks = 0;
  s.tasks = tasks;
  s.merge_tasks = groups;
  return !overflow && !shared.overflow() && !own.overflow();
}

}  // namespace

bool make_schedule(const Problem &p, const Geometry &g, Schedule &s) {
  s = {};
  if (__builtin_mul_overflow(p.seq_q, int64_t{p.group}, &s.rows)) return false;
  s.phase = s.rows <= kDecodeMaxRows ? kDecode : kPrefill;
  if (s.rows == 0 || p.batch == 0) {  // nothing to write
    s.phase = kDecode;
    s.head_block = 1;
    return true;
  }
  return s.phase == kDecode ? decode(p, g, s) : prefill(p, g, s);
}

bool fits(const Problem &p, const Geometry &g, const Schedule &s) {
  if (s.tasks == 0) return true;
  return s.phase == kPrefill ? panels_needed(p, g) <= s.panels : chunks_needed(p, s) <= s.chunks;
}

}  // namespace ga
