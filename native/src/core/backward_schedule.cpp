#include "core/backward_schedule.h"

#include "core/layout.h"
#include "core/sequence.h"

namespace ga {
namespace {

constexpr int64_t kCacheOfKeys = 640 << 10, kCacheOfQueries = 512 << 10;  // bytes that a task keeps in the second cache
constexpr int64_t kLargeCacheOfQueries = 1 << 20;  // processors with tile registers have a large one
constexpr int64_t kMaxRows = int64_t{1} << 48;
constexpr int64_t kTileRowSlack = 8;  // a ragged last tile may touch a few rows more
constexpr int64_t kKeySlack = 16;     // so may one of keys; transposed, they lie that much more apart than a power of two

int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

// Powers of two, so that a panel never straddles two blocks.
int64_t key_block(const BackwardProblem &p, const BackwardSchedule &s) {
  const int64_t dims = p.head_dim + p.head_dim_v;
  const int64_t each = (dims + p.head_dim) * 4 / s.pack + dims * 4;  // K twice, V; dK, dV
  int64_t keys = kBackwardKeyBlock;
  while (keys > 64 && keys * each > kCacheOfKeys) keys /= 2;
  return keys;
}

// However many, no bit changes: rows meet them one after another. The more, the less often rows are packed.
int64_t blocks_per_task(const BackwardProblem &p, const BackwardSchedule &s, int threads) {
  int64_t blocks = kBackwardBlocks;
  const double units = static_cast<double>(p.batch) * p.heads_kv;
  while (blocks > 1 &&
         units * static_cast<double>(ceil_div(p.seq_k, blocks * s.key_block)) < kBackwardTasksPerThread * threads)
    blocks /= 2;
  return blocks;
}

int64_t query_block(const BackwardProblem &p, const BackwardSchedule &s) {
  const int64_t products = s.pack == 2 ? s.key_block * (4 + 2) : s.key_block * 8;                 // P, dS
  const int64_t each = 2 * (p.head_dim + p.head_dim_v) * 4 / s.pack + p.head_dim * 4 + products;  // Q, dY, dQ
  const int64_t whole = 2 * s.tile_rows, cache = s.step > 1 ? kLargeCacheOfQueries : kCacheOfQueries;
  const int64_t rows = least(cache / each, kBackwardQueryBlock * s.pack) / whole * whole;
  return rows < 48 ? round_up(48, whole) : rows;
}

void cut_rows(const BackwardProblem &p, BackwardSchedule &s) {
  const bool gated = p.dgate.data;
  s.sums_batch = gated && s.entries > 1 && p.dgate.batch == 0;
  s.sums_sequence = gated && p.seq_q > 1 && p.dgate.sequence == 0;
  s.sums_heads = gated && p.heads_q > 1 && p.dgate.head == 0;
  s.splits_heads = !s.sums_heads;
  // What is summed up over the batch alone is so row by row, else by way of the tasks' own sums.
  const bool across = s.sums_batch && !s.sums_sequence;
  s.row_entries = across ? s.entries : 1;
  s.row_heads = s.splits_heads ? p.group : p.heads_q;
  s.row_units = (across ? 1 : s.entries) * (s.splits_heads ? p.heads_kv : 1);
  s.row_tasks = ceil_div(p.seq_q, kBackwardRows);
  s.row_units_attend = s.splits_heads && !across && !p.cu_seqlens_q.data;
  s.gate_dims = p.gate.data && p.gate.dim == 0 ? 1 : p.head_dim_v;
  s.weight_dims = p.norm_weight.data && p.norm_weight.dim == 0 ? 1 : p.head_dim_v;
  s.gate_slots = s.sums_sequence ? (s.sums_heads ? 1 : s.row_heads) : 0;
  s.weight_slots = p.dnorm_weight.data ? (p.heads_q > 1 && p.dnorm_weight.head == 0 ? 1 : s.row_heads) : 0;
  s.sink_slots = p.dsink.data ? (p.heads_q > 1 && p.dsink.head == 0 ? 1 : s.row_heads) : 0;
}

bool count_rows(const BackwardProblem &p, int64_t queries, int64_t &rows) {
  return !__builtin_mul_overflow(queries, int64_t{p.group}, &rows) && rows <= kMaxRows;
}

// At most, whatever the lengths are.
bool count_tickets(const BackwardProblem &p, BackwardSchedule &s) {
  int64_t rows = 0, blocks = 0;
  if (!count_rows(p, p.seq_q, rows)) return false;
  if (p.cu_seqlens_q.data)
    blocks = ceil_div(rows, s.query_block) + p.batch;
  else if (__builtin_mul_overflow(ceil_div(rows, s.query_block), p.batch, &blocks))
    return false;
  return !__builtin_mul_overflow(blocks, int64_t{p.heads_kv}, &s.tickets);
}

int64_t products_bytes(const BackwardProblem &p, const Geometry &g, const BackwardSchedule &s) {
  if (!s.attends) return 0;
  const int64_t keys = s.key_block, rows = round_up(s.query_block, g.panel) + kTileRowSlack;
  const int64_t columns = round_up(p.head_dim, g.panel), value_columns = round_up(p.head_dim_v, g.panel);
  Layout own;
  for (int64_t n = 0; n < s.blocks_per_task; n++) {
    own.take(keys, s.key_units * 4);                // K, by dims
    own.take(keys, s.value_units * 4);              // V, by dims
    own.take(keys, columns * 4 / s.pack);           // K, by keys
    own.take(keys + kKeySlack, columns * 4);        // dK
    own.take(keys + kKeySlack, value_columns * 4);  // dV
  }
  own.take(rows, s.key_units * 4);                       // Q, by rows
  own.take(rows, s.value_units * 4);                     // dY, by rows
  own.take(rows, columns * 4 / s.pack);                  // Q, by dims
  own.take(rows, value_columns * 4 / s.pack);            // dY, by dims
  own.take(rows / s.pack, (keys + 16) * 4);              // P
  own.take(rows / s.pack, (keys + 16) * 4);              // dS
  if (s.pack == 2) own.take(rows, (keys / 2 + 16) * 4);  // dS, by rows
  if (s.step > 1) {
    own.take(rows / s.pack + 16, columns * 4);        // Q, transposed
    own.take(rows / s.pack + 16, value_columns * 4);  // dY, transposed
  }
  own.take(2 * kBackwardTiles * s.tile_rows, g.panel * 4);  // S and dP of a tile
  own.take(rows, 4);                                        // L
  own.take(rows, 4);                                        // Delta
  own.take(rows, 2 * 8);                                    // the keys it sees
  own.take(rows, 2 * 8);                                    // of the block
  own.take(kBackwardZeros, 4);
  return own.total();
}

int64_t rows_bytes(const BackwardProblem &p, const BackwardSchedule &s) {
  Layout own;
  own.take(6, kBackwardZeros * 4);               // a row of each operand
  own.take(s.row_heads, p.head_dim_v * 4 + 64);  // the gate's gradient, summed up over heads or batch
  return own.total();
}

BackwardPart cut(const BackwardProblem &p, const BackwardSchedule &s, int64_t b) {
  BackwardPart part = {};
  part.sequence = sequence_of(p, b);
  const Sequence &of = part.sequence;
  part.rows = of.queries * p.group;
  part.query_block = s.query_block;
  if (part.rows > 0) part.query_block = round_up(ceil_div(part.rows, ceil_div(part.rows, s.query_block)), s.tile_rows);
  part.query_blocks = ceil_div(part.rows, part.query_block);
  part.key_blocks = of.keys > 0 ? ceil_div(of.keys, s.key_block) : 1;
  part.tasks = ceil_div(part.key_blocks, s.blocks_per_task);
  part.first_row = (of.query_entry * p.seq_q + of.query_row) * p.heads_q;
  return part;
}

}  // namespace

bool make_backward_schedule(const BackwardProblem &p, const Geometry &g, int threads, BackwardSchedule &s) {
  s = {};
  s.alike = p.alike();
  const bool from_out = out_tells_ungated(p.pre_gate, p.gate.data, p.combination, p.activation);
  s.recomputes = !p.ungated.data && !from_out;
  const bool multiplies = p.gate.data && p.combination == GA_MULTIPLY;
  // The activations that O tells Y of are those above 0 everywhere. In f32, L rounded once more would be felt in P.
  s.folds_gate = multiplies && p.gate.dim == 0 && from_out && p.q.dtype != GA_F32;
  s.stores_dy = p.pre_gate != GA_PRE_NONE || (multiplies && !s.folds_gate);
  s.attends = p.dq.data || p.dk.data || p.dv.data;
  s.entries = p.cu_seqlens_q.data ? 1 : p.batch;
  const Geometry::Product &product = p.q.dtype == GA_BF16 ? g.bf16 : g.f32;
  s.pack = product.pack;
  s.tile_rows = product.rows;
  s.step = product.step;
  s.key_units = round_up(p.head_dim / s.pack, s.step);
  s.value_units = round_up(p.head_dim_v / s.pack, s.step);
  s.key_block = key_block(p, s);
  s.query_block = query_block(p, s);
  s.blocks_per_task = blocks_per_task(p, s, threads);
  s.dq_stride = round_up(p.head_dim, g.width);
  s.parts = s.alike ? 1 : p.batch;
  cut_rows(p, s);
  if (!count_tickets(p, s)) return false;

  Layout shared;
  const int64_t per_query = s.attends ? p.heads_q : 0;
  s.parts_offset = shared.take(s.parts, sizeof(BackwardPart));
  s.claims_offset = shared.take(s.row_units + s.units(p), kClaimsBytes);
  s.tickets_offset = shared.take(p.dq.data ? s.tickets : 0, kTicketBytes);
  s.lse_offset = shared.take(s.entries, p.seq_q, per_query * 4);
  s.delta_offset = shared.take(s.entries, p.seq_q, per_query * 4);
  s.dy_offset = shared.take(s.entries, p.seq_q, s.stores_dy ? per_query * s.value_units * 4 : 0);
  s.dq_offset = shared.take(s.entries, p.seq_q, p.dq.data ? per_query * s.dq_stride * 4 : 0);
  const int64_t tasks = s.row_units * s.row_tasks;
  s.gate_sums_offset = shared.take(tasks, s.gate_slots * s.gate_dims * 4);
  s.weight_sums_offset = shared.take(tasks, s.weight_slots * s.weight_dims * 4);
  s.sink_sums_offset = shared.take(tasks, s.sink_slots * 4);
  s.shared_bytes = shared.total();
  const int64_t products = products_bytes(p, g, s), rows = rows_bytes(p, s);
  s.thread_bytes = products > rows ? products : rows;
  return !shared.overflow();
}

void make_backward_parts(const BackwardProblem &p, const BackwardSchedule &s, char *shared) {
  BackwardPart *parts = reinterpret_cast<BackwardPart *>(shared + s.parts_offset);
  int64_t tickets = 0;
  for (int64_t b = 0; b < s.parts && b < p.batch; b++) {
    parts[b] = cut(p, s, b);
    parts[b].first_ticket = tickets;
    tickets += p.heads_kv * parts[b].query_blocks;
  }
}

BackwardPart backward_part(const BackwardProblem &p, const BackwardSchedule &s, const char *shared, int64_t b) {
  const BackwardPart *parts = reinterpret_cast<const BackwardPart *>(shared + s.parts_offset);
  if (!s.alike) return parts[b];
  BackwardPart part = parts[0];
  part.sequence.query_entry = part.sequence.key_entry = b;
  part.first_row = b * p.seq_q * p.heads_q;
  part.first_ticket = b * p.heads_kv * part.query_blocks;
  return part;
}

int64_t backward_tasks(const BackwardProblem &p, const BackwardSchedule &s) {
  if (!s.attends || p.batch == 0) return 0;
  if (s.alike) return p.batch * p.heads_kv * cut(p, s, 0).tasks;
  int64_t tasks = 0;
  for (int64_t b = 0; b < p.batch; b++) tasks += p.heads_kv * cut(p, s, b).tasks;
  return tasks;
}

int64_t ungated_bytes(const BackwardProblem &p) {
  const int64_t entries = p.cu_seqlens_q.data ? 1 : p.batch;
  int64_t bytes = 0;
  if (__builtin_mul_overflow(entries, p.seq_q, &bytes) ||
      __builtin_mul_overflow(bytes, int64_t{p.heads_q} * p.head_dim_v * 4, &bytes))
    return -1;
  return bytes;
}

Problem ungated_problem(const BackwardProblem &p, char *out) {
  Problem f = p;
  f.pre_gate = GA_PRE_NONE;
  f.gate = f.norm_weight = f.lse = View{};
  f.out = {out, p.seq_q * p.heads_q * p.head_dim_v, int64_t{p.heads_q} * p.head_dim_v, p.head_dim_v, 1, GA_F32, 4};
  return f;
}

}  // namespace ga
