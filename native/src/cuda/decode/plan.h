// How a call of decode is laid out: which kernel, how many blocks, stages and splits, and where partial results lie. The host
// alone makes a plan; kernels get it as their argument, and the emulator's tests run with the very same.
#pragma once

#include <cstdio>

#include "core/problem.h"
#include "cuda/decode/split.h"
#include "cuda/family.h"

namespace ga::cuda::decode {

constexpr int kThreads = 128, kWarps = 4;
constexpr int kFewestStages = 2, kMostStages = 4;
constexpr int kCounterAlignment = 256;

// What a kernel was compiled for. D is the largest head dimension that it takes; what a call leaves of it is filled with zeros.
struct Geometry {
  int dim;         // D
  int warp_rows;   // query rows that a warp holds; a block takes four times as many
  int slice_keys;  // keys that a warp takes at once
  int tile_keys;   // keys of one stage of the ring: all slices of all warps
  int row_bytes;   // of a key, or of a value, in shared memory
  int query_row_bytes;
  int warp_bytes;  // shared memory of a warp's own
  bool scaled;     // an int8 cache
  int resident;    // blocks that a multiprocessor's registers have room for

  constexpr GA_ALWAYS_INLINE int stage_bytes() const {
    return tile_keys * (2 * row_bytes + (scaled ? 2 * static_cast<int>(sizeof(float)) : 0));
  }
  constexpr GA_ALWAYS_INLINE int block_rows() const { return kWarps * warp_rows; }
  // Where each key of a tile lies in memory.
  constexpr GA_ALWAYS_INLINE int place_bytes() const { return tile_keys * (scaled ? 32 : 16); }
};

// Tensor cores: 16-bit queries and keys of one type. A warp takes 16 rows, and 16 keys at once.
constexpr GA_ALWAYS_INLINE Geometry mma_geometry(int dim) {
  return {dim, 16, 16, dim > 128 ? 32 : 64, 2 * dim, 2 * dim, 0, false, dim > 64 ? 2 : 3};
}
// Plain f32: whatever else. Stages of about 32 KB.
constexpr GA_ALWAYS_INLINE Geometry fma_geometry(int dim, int key_bytes) {
  const int fit = 16384 / (dim * key_bytes);
  return {dim, 8, 8, fit < 64 ? fit : 64, dim * key_bytes, 4 * dim, 8 * 8 * 4 + 8 * 4, key_bytes == 1, 2};
}
static_assert(mma_geometry(128).stage_bytes() == 32768 && mma_geometry(256).stage_bytes() == 32768);
static_assert(fma_geometry(128, 4).tile_keys == 32 && fma_geometry(256, 4).tile_keys == 16);
static_assert(fma_geometry(128, 2).stage_bytes() == 32768 && fma_geometry(128, 1).tile_keys == 64);

// Shared memory of a block, in bytes from its beginning.
struct Layout {
  int places;   // [stages][tile_keys] places of keys
  int queries;  // [rows][query_row_bytes]
  int warps;    // [4][warp_bytes]
  int sums;     // [4 x warp_rows] maximum and sum
  int ring;     // [stages]: keys, values, their scales. At the end: [4 x warp_rows][dim] f32
  int bytes;
};
constexpr int kControlBytes = 256;  // what all threads of a block read: place.cuh

constexpr GA_ALWAYS_INLINE Layout layout_of(const Geometry &g, int stages, int query_rows) {
  Layout l{};
  l.places = kControlBytes;
  l.queries = l.places + stages * g.place_bytes();
  l.warps = l.queries + query_rows * g.query_row_bytes;
  l.sums = l.warps + kWarps * g.warp_bytes;
  l.ring = static_cast<int>(round_up(l.sums + g.block_rows() * 8, 128));
  l.bytes = l.ring + stages * g.stage_bytes();
  return l;
}
// The warps' results lie where the ring was.
constexpr bool results_fit(const Geometry &g) { return g.block_rows() * g.dim * 4 <= kFewestStages * g.stage_bytes(); }
static_assert(results_fit(mma_geometry(64)) && results_fit(mma_geometry(128)) && results_fit(mma_geometry(256)));
static_assert(results_fit(fma_geometry(128, 1)) && results_fit(fma_geometry(256, 1)) &&
              results_fit(fma_geometry(256, 4)));

struct Arguments {
  Problem p;
  int64_t unit_rows;  // rows of a unit in the partial results: the most that a block may have
  int row_blocks;     // per sequence; packed queries: 0, see first_slot
  int slots;          // sequences x row blocks; packed: as many as there may be
  int splits, stages;
  int query_rows;      // in shared memory: unit_rows in whole tiles
  bool whole_vectors;  // every row of K and V begins at a multiple of 16 bytes, and is a multiple of 16 bytes long
  uint32_t *arrived;   // [slot][kv head]: blocks that left a partial result; zero before and after a launch
  float *values;       // [slot][kv head][split][unit_rows][head_dim_v]
  float *sums;         // [slot][kv head][split][unit_rows][2]: maximum and sum
};

struct Plan {
  Geometry geometry;
  ga_dtype keys;  // that the kernel reads
  bool tensor_cores;
  Arguments arguments;
  int64_t blocks;
  int shared_bytes;
  int64_t counter_bytes, values_bytes, workspace_bytes;
};

// Packed query rows of all sequences, each in blocks of rows: slot first_slot(b) is the first of sequence b whose rows begin at
// packed row `row`. The next sequence begins late enough for all blocks of this one: floor(x + y) >= floor(x) + floor(y).
constexpr GA_ALWAYS_INLINE int first_slot(int64_t row, int64_t b, int block_rows) {
  return static_cast<int>(row / block_rows + b);
}
constexpr bool slots_suffice(int block_rows) {
  for (int row = 0; row < 2 * block_rows; row++)
    for (int rows = 0; rows < 3 * block_rows; rows++)
      if (first_slot(row + rows, 1, block_rows) - first_slot(row, 0, block_rows) < ceil_div(rows, block_rows))
        return false;
  return true;
}
static_assert(slots_suffice(32) && slots_suffice(16));

// A view whose rows can be copied 16 bytes at a time.
static inline bool in_whole_vectors(const View &v, int64_t head_dim) {
  const int64_t strides = v.batch | v.sequence | v.head | head_dim;
  return reinterpret_cast<uintptr_t>(v.data) % 16 == 0 && strides * v.element_bytes % 16 == 0;
}

static inline bool uses_tensor_cores(const Problem &p) { return p.q.element_bytes == 2 && p.k.dtype == p.q.dtype; }
static inline int largest_dim(const Problem &p) { return p.head_dim > p.head_dim_v ? p.head_dim : p.head_dim_v; }

static inline Geometry geometry_for(const Problem &p) {
  const int dim = largest_dim(p);
  if (uses_tensor_cores(p)) return mma_geometry(dim > 128 ? 256 : dim > 64 ? 128 : 64);
  return fma_geometry(dim > 128 ? 256 : 128, p.k.element_bytes);
}

// Keys that a sequence may have at most, as far as the rows of one block see them.
static inline int64_t most_keys(const Problem &p) {
  if (p.window_left < 0 || p.window_right < 0) return p.seq_k;
  const int64_t left = p.window_left < p.seq_k ? p.window_left : p.seq_k;
  const int64_t right = p.window_right < p.seq_k ? p.window_right : p.seq_k;
  const int64_t seen = left + right + p.seq_q;
  return seen < p.seq_k ? seen : p.seq_k;
}

static inline int blocks_per_multiprocessor(const Geometry &g, int shared_bytes, const DeviceFacts &device) {
  constexpr int kReserved = 1024;  // per block, by the device
  const int fit = (device.shared_memory_bytes + kReserved) / (shared_bytes + kReserved);
  return fit < g.resident ? fit : g.resident;
}

// The depth of the ring that keeps most bytes in flight, but two blocks on a multiprocessor before anything else: one loads
// while the other begins, merges or ends.
static inline int stages_for(const Geometry &g, int query_rows, const DeviceFacts &device) {
  int best = kFewestStages;
  int64_t most = -1;
  for (int stages = kFewestStages; stages <= kMostStages; stages++) {
    const int blocks = blocks_per_multiprocessor(g, layout_of(g, stages, query_rows).bytes, device);
    const int64_t in_flight = static_cast<int64_t>(blocks) * (stages - 1) * g.stage_bytes();
    const int64_t worth = in_flight + (blocks > 1 ? int64_t{1} << 40 : 0);
    if (blocks == 0 || worth <= most) continue;
    most = worth;
    best = stages;
  }
  return best;
}

// Rows in shared memory: whole tiles of the warps.
static inline int query_rows_for(const Geometry &g, int64_t unit_rows) {
  const int64_t tiles = ceil_div(unit_rows, g.warp_rows);
  return static_cast<int>(tiles > 2 ? 4 : tiles) * g.warp_rows;
}

static inline int least_shared_bytes(const Problem &p) {
  const Geometry g = geometry_for(p);
  const int64_t rows = p.seq_q * p.group < g.block_rows() ? p.seq_q * p.group : g.block_rows();
  return layout_of(g, kFewestStages, query_rows_for(g, rows)).bytes;
}

static inline Plan make_plan(const Problem &p, const DeviceFacts &device) {
  Plan plan{};
  Arguments &a = plan.arguments;
  const Geometry g = geometry_for(p);
  plan.geometry = g;
  plan.keys = p.k.dtype;
  plan.tensor_cores = uses_tensor_cores(p);
  a.p = p;
  const int64_t most_rows = p.seq_q * p.group;  // packed: of all sequences together
  a.unit_rows = most_rows < g.block_rows() ? most_rows : g.block_rows();
  if (p.cu_seqlens_q.data) {
    a.slots = static_cast<int>(most_rows / g.block_rows() + p.batch);
  } else {
    a.row_blocks = static_cast<int>(ceil_div(most_rows, g.block_rows()));
    a.slots = static_cast<int>(p.batch * a.row_blocks);
  }
  a.query_rows = query_rows_for(g, a.unit_rows);
  a.whole_vectors = in_whole_vectors(p.k, p.head_dim) && in_whole_vectors(p.v, p.head_dim_v);
  a.stages = stages_for(g, a.query_rows, device);
  plan.shared_bytes = layout_of(g, a.stages, a.query_rows).bytes;
  const int64_t units = static_cast<int64_t>(a.slots) * p.heads_kv;
  const int64_t resident =
      static_cast<int64_t>(device.multiprocessors) * blocks_per_multiprocessor(g, plan.shared_bytes, device);
  a.splits = splits_for(units, ceil_div(most_keys(p), g.tile_keys), resident > 0 ? resident : 1);
  plan.blocks = units * a.splits;
  if (a.splits > 1) {
    plan.counter_bytes = round_up(units * static_cast<int64_t>(sizeof(uint32_t)), kCounterAlignment);
    plan.values_bytes = round_up(plan.blocks * a.unit_rows * p.head_dim_v * 4, kCounterAlignment);
    plan.workspace_bytes = plan.counter_bytes + plan.values_bytes + plan.blocks * a.unit_rows * 8;
  }
  return plan;
}

static inline void place_in(Plan &plan, char *workspace) {
  plan.arguments.arrived = reinterpret_cast<uint32_t *>(workspace);
  plan.arguments.values = reinterpret_cast<float *>(workspace + plan.counter_bytes);
  plan.arguments.sums = reinterpret_cast<float *>(workspace + plan.counter_bytes + plan.values_bytes);
}

static inline const char *name_of(ga_dtype type) {
  switch (type) {
    case GA_BF16: return "bf16";
    case GA_F16: return "f16";
    case GA_I8: return "i8";
    default: return "f32";
  }
}

// nullptr, or why the call is not for these kernels: with many rows per key/value head it is the forward family's.
static inline const char *refusal_of(const Problem &p) {
  constexpr int64_t kMost = int64_t{1} << 30;
  if (largest_dim(p) > 256) return "head_dim is above 256";
  if (p.out.dtype != p.q.dtype) return "out is of another type than q";
  if (p.seq_k > kMost) return "seq_k is above 2^30";
  if (p.batch > kMost || p.seq_q > kMost || p.seq_q * p.group > kMost) return "there are over 2^30 query rows";
  const int block_rows = geometry_for(p).block_rows();
  const int64_t rows = p.seq_q * p.group, sequences = p.cu_seqlens_q.data ? p.batch : 1;
  if (rows > block_rows * sequences) return "there are too many query rows per key/value head for decode";
  const int64_t slots = p.cu_seqlens_q.data ? rows / block_rows + p.batch : p.batch * ceil_div(rows, block_rows);
  if (slots > kMost || slots * p.heads_kv > kMost / kMaxSplits) return "there are too many key/value heads and sequences";
  return nullptr;
}

}  // namespace ga::cuda::decode
