#include "core/schedule.h"

#include <initializer_list>

#include "core/layout.h"
#include "core/sequence.h"

namespace ga {
namespace {

constexpr int64_t kMaxRows = int64_t{1} << 48;

int64_t power_of_two(int64_t least) {
  int64_t n = 1;
  while (n < least) n *= 2;
  return n;
}

// The whole numbers of an int8 cache are exact in bf16; their scales multiply scores and weights.
const Geometry::Product &product_of(const Problem &p, const Geometry &g) { return p.q.dtype == GA_BF16 ? g.bf16 : g.f32; }

void cut_prefill(const Problem &p, const Geometry &g, int threads, Part &part) {
  const Geometry::Product &product = product_of(p, g);
  const int64_t heads = int64_t{p.heads_kv} * p.batch, blocks = ceil_div(part.rows, product.query_block);
  const int64_t for_all = ceil_div(int64_t{kTasksPerThread} * threads, heads);
  const int64_t most = ceil_div(part.rows, kLeastQueryBlock), wanted = for_all < most ? for_all : most;
  part.query_block = round_up(ceil_div(part.rows, wanted > blocks ? wanted : blocks), product.rows);
  part.query_blocks = ceil_div(part.rows, part.query_block);
  part.first_packed = visible_keys(p, part.sequence, 0).lo / kKeyBlock * kKeyBlock;
  part.panels = ceil_div(part.sequence.keys - part.first_packed, g.panel);
  part.value_units = part.panels * g.panel / product.pack;
  part.tasks = p.heads_kv * part.query_blocks;
  part.all_panels = p.heads_kv * part.panels;
}

void cut_decode(const Problem &p, const Geometry &g, Part &part) {
  const int64_t keys = part.sequence.keys, even = round_up(ceil_div(keys, kDecodeMaxChunks), 64);
  part.chunk_keys = even < kDecodeMinChunk ? kDecodeMinChunk : even;
  part.chunks = keys ? ceil_div(keys, part.chunk_keys) : 1;

  const int64_t run = int64_t{p.head_dim} * p.k.element_bytes;
  part.head_block = 1;
  while (p.k.head < p.k.sequence && p.heads_kv % (part.head_block * 2) == 0 && part.head_block * run < kDecodeRun &&
         part.head_block * part.rows < 64)
    part.head_block *= 2;
  part.head_blocks = p.heads_kv / part.head_block;
  part.head_lanes = part.rows < g.fold ? power_of_two(part.rows) : round_up(part.rows, g.fold);
  const int64_t lanes = part.head_block * part.head_lanes;
  part.lanes = lanes < g.width ? power_of_two(lanes) : round_up(lanes, g.width);
  part.tasks = part.head_blocks * part.chunks;
  part.partials = part.tasks * part.head_block * part.rows;
}

// False when it has more rows than can be counted.
bool make_part(const Problem &p, const Geometry &g, int threads, int64_t b, Part &part) {
  part = {};
  part.phase = kDecode;
  part.sequence = sequence_of(p, b);
  if (__builtin_mul_overflow(part.sequence.queries, int64_t{p.group}, &part.rows) || part.rows > kMaxRows) return false;
  if (part.rows == 0) return true;  // nothing attends
  part.phase = part.rows <= kDecodeMaxRows ? kDecode : kPrefill;
  if (part.phase == kPrefill)
    cut_prefill(p, g, threads, part);
  else
    cut_decode(p, g, part);
  return true;
}

// Adds times * each to a sum and says where that began.
class Adder {
 public:
  explicit Adder(int64_t times) : times_(times) {}
  int64_t add(int64_t &sum, int64_t each) {
    const int64_t before = sum;
    int64_t more = 0;
    overflow_ |= __builtin_mul_overflow(times_, each, &more) || __builtin_add_overflow(sum, more, &sum);
    return before;
  }
  bool overflow() const { return overflow_; }

 private:
  int64_t times_;
  bool overflow_ = false;
};

// Puts the part behind those of its phase; false when a sum overflows.
bool append(const Problem &p, Schedule &s, Part &part) {
  Adder adder(s.alike ? p.batch : 1);
  part.first_task = adder.add(part.phase == kPrefill ? s.prefill_tasks : s.decode_tasks, part.tasks);
  part.first_head = adder.add(s.heads, part.phase == kPrefill ? p.heads_kv : 0);
  part.first_panel = adder.add(s.panels, part.all_panels);
  part.first_partial = adder.add(s.partials, part.partials);
  part.first_group = adder.add(s.groups, part.phase == kPrefill ? 0 : part.head_blocks);
  if (s.parts == 0) {
    s.query_block = part.phase == kPrefill ? part.query_block : part.rows;
    s.key_block = part.phase == kPrefill ? kKeyBlock : part.chunk_keys;
  }
  s.parts++;
  s.prefill_parts += part.phase == kPrefill;
  s.products += static_cast<double>(part.rows) * static_cast<double>(part.sequence.keys) * p.heads_kv *
                static_cast<double>(s.alike ? p.batch : 1);
  return !adder.overflow();
}

int64_t thread_bytes(const Problem &p, const Geometry &g, const Schedule &s, const Part &part) {
  Layout own;
  if (part.phase == kPrefill) {
    const Geometry::Product &product = product_of(p, g);
    const int64_t rows = part.query_block;
    own.take(rows, s.key_units * 4);                      // Q, packed
    own.take(kScoredTiles * product.rows, g.panel * 4);   // S of a tile
    own.take(kScoredTiles * product.rows, g.width * 4);   // and its maximum
    own.take(rows, kKeyBlock * 4 / product.pack);         // P
    own.take(rows, round_up(p.head_dim_v, g.width) * 4);  // Y, not yet normalized
    own.take(rows, g.width * 4);                          // sums
    own.take(rows, kReferenceBytes);                      // what the weights refer to
    own.take(rows, 4 * 8);                                // the keys it sees, and where it lies
  } else {
    own.take(part.lanes, Schedule::query_units(p.head_dim, g.width) * 4);  // Q, packed
    own.take(part.lanes, kDecodeTile * 4);                                 // scores of one tile of keys
    own.take(part.lanes, g.width / g.fold * g.width * 4);  // scores of a vector of keys, not quite summed up
    if (product_of(p, g).step > 1) {
      own.take(part.lanes, kDecodeTile * 4);                               // the same by keys
      own.take(part.head_block * part.head_lanes, s.key_units * 4);        // Q, by units
      own.take(kDecodeTile, s.key_units * 4);                              // keys that do not lie evenly
      own.take(kDecodeTile / 2, round_up(p.head_dim_v, 2 * g.width) * 4);  // values in pairs
      own.take(part.rows, kDecodeTile * 2);                                // weights in pairs
    }
  }
  return own.total() + kThreadGap;
}

// Makes the part of sequence 0 that of sequence b, which is like it.
void move_to(const Problem &p, Part &part, int64_t b) {
  part.sequence.query_entry = part.sequence.key_entry = b;
  if (p.block_table.data) part.sequence.pages = reinterpret_cast<const int32_t *>(p.block_table.at(b, 0, 0));
  part.first_task = b * part.tasks;
  part.first_head = b * p.heads_kv;
  part.first_panel = b * part.all_panels;
  part.first_partial = b * part.partials;
  part.first_group = b * part.head_blocks;
}

// Visits the parts in their order: those of prefill, then the others. visit(part) returns false to stop; so does this.
template <class Visit>
bool for_each_part(const Problem &p, const Geometry &g, int threads, bool alike, const Visit &visit) {
  if (alike) {
    Part part;
    return p.batch == 0 || (make_part(p, g, threads, 0, part) && visit(part));
  }
  for (const Phase phase : {kPrefill, kDecode})
    for (int64_t b = 0; b < p.batch; b++) {
      Part part;
      if (!make_part(p, g, threads, b, part)) return false;
      if (part.phase == phase && !visit(part)) return false;
    }
  return true;
}

// Everything but the offsets, of the sequences as they are; the parts go to where there is room for most of them.
bool sum_up(const Problem &p, const Geometry &g, int threads, Schedule &s, Part *parts, int64_t most) {
  s = {};
  s.alike = p.alike();
  const Geometry::Product &product = product_of(p, g);
  s.key_units = round_up(p.head_dim / product.pack, product.step);
  s.value_panels = ceil_div(p.head_dim_v, g.panel);
  s.partial_floats = 32 + round_up(p.head_dim_v, 4 * g.width);  // decode stores up to four vectors at once, and whole
  return for_each_part(p, g, threads, s.alike, [&](Part &part) {
    const int64_t own = thread_bytes(p, g, s, part);
    if (own > s.thread_bytes) s.thread_bytes = own;
    if (!append(p, s, part) || s.parts > most) return false;
    if (parts) parts[s.parts - 1] = part;
    return true;
  });
}

}  // namespace

bool make_schedule(const Problem &p, const Geometry &g, int threads, Schedule &s) {
  if (!sum_up(p, g, threads, s, nullptr, INT64_MAX)) return false;
  Layout shared;
  s.parts_offset = shared.take(s.parts, sizeof(Part));
  s.shares_offset = shared.take(2 * kMaxShares, kShareBytes);
  s.keys_offset = shared.take(s.panels, s.key_units * g.panel * 4);
  s.values_offset = shared.take(s.panels, s.value_panels * g.panel * 4, g.panel / product_of(p, g).pack);
  const int64_t scaled = p.k.dtype == GA_I8 ? s.panels : 0;
  s.key_scales_offset = shared.take(scaled, g.panel * 4);
  s.value_scales_offset = shared.take(scaled, g.panel * 4);
  s.flags_offset = shared.take(s.panels, 1);
  s.packing_offset = shared.take(s.heads, kClaimsBytes);
  s.task_gap = threads > 1 ? kThreadGap : 0;
  s.partials_offset = shared.take(s.partials, s.partial_floats * 4);
  shared.take(s.decode_tasks, s.task_gap);
  s.counters_offset = shared.take(s.groups, 4);
  s.shared_bytes = shared.total();
  return !shared.overflow();
}

bool make_parts(const Problem &p, const Geometry &g, int threads, Schedule &s, char *shared) {
  Schedule now;
  if (!sum_up(p, g, threads, now, reinterpret_cast<Part *>(shared + s.parts_offset), s.parts)) return false;
  if (now.panels > s.panels || now.heads > s.heads || now.decode_tasks > s.decode_tasks || now.partials > s.partials ||
      now.groups > s.groups || now.thread_bytes > s.thread_bytes)
    return false;
  s.parts = now.parts;
  s.prefill_parts = now.prefill_parts;
  s.panels = now.panels;
  s.heads = now.heads;
  s.groups = now.groups;
  s.prefill_tasks = now.prefill_tasks;
  s.decode_tasks = now.decode_tasks;
  s.products = now.products;
  return true;
}

Part part_of_task(const Problem &p, const Schedule &s, const char *shared, Phase phase, int64_t &task) {
  const Part *parts = reinterpret_cast<const Part *>(shared + s.parts_offset);
  if (s.alike) {
    Part part = parts[0];
    const int64_t b = task / part.tasks;
    task -= b * part.tasks;
    move_to(p, part, b);
    return part;
  }
  int64_t lo = phase == kPrefill ? 0 : s.prefill_parts, hi = phase == kPrefill ? s.prefill_parts : s.parts;
  while (hi - lo > 1) {  // the last part that begins there or before
    const int64_t middle = lo + (hi - lo) / 2;
    (parts[middle].first_task <= task ? lo : hi) = middle;
  }
  task -= parts[lo].first_task;
  return parts[lo];
}

int64_t first_task_of_head(const Problem &p, const Schedule &s, const char *shared, int64_t head) {
  if (head == s.heads) return s.prefill_tasks;
  const Part *parts = reinterpret_cast<const Part *>(shared + s.parts_offset);
  if (s.alike) return head * parts[0].query_blocks;
  const Part &part = parts[head / p.heads_kv];
  return part.first_task + head % p.heads_kv * part.query_blocks;
}

}  // namespace ga
