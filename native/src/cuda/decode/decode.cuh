// Decode: a few query rows against a long cache, in one launch. Not run on a GPU yet: the times here are arithmetic.
//
// A unit is one key/value head of one sequence with all query rows of its group, up to 64 of them: each key and each value is
// read from memory once. Its keys are split over blocks of four warps; a block takes whole tiles of keys through a ring of shared
// memory (ring.cuh), leaves a partial result, and the last block of a unit to arrive merges them in the order of the splits and
// finishes the rows: sink, log-sum-exp, pre-gate step, gate, rounding. With one split there is nothing to merge.
//
// Warps of a block: rows are dealt to 1, 2 or 4 groups of warps, and the warps of a group deal a tile's keys among them. Their
// results are added in shared memory in a fixed order. The same call on the same device gives the same bits.
//
// What plan.h makes of a device with 227 KB of shared memory for a block (H100), 16 query rows (f32: 8):
//
//   kernel           rows   tile     stage  stages  shared memory  blocks on a multiprocessor  bytes in flight there
//   bf16, f16 D 64   to 64  64 keys  16 KB  4       71 KB          3                           144 KB
//   bf16, f16 D 128  to 64  64 keys  32 KB  3       104 KB         2                           128 KB
//   bf16, f16 D 256  to 64  32 keys  32 KB  3       107 KB         2                           128 KB
//   f32 D 128        to 32  32 keys  32 KB  3       104 KB         2                           128 KB
//
// With 163 KB (8.0) D 128 has 2 stages and 2 blocks, 64 KB in flight; with 99 KB (8.6, 8.9, 12.0) 2 stages and 1 block, 32 KB.
// Other head dimensions run in the next larger kernel: what they leave is zeros that are not read from memory.
//
// Memory: 3.0 TB/s over 132 multiprocessors is 23 KB per us on each, so 128 KB in flight bear latencies of over 5 us where memory
// under load takes about one. Arithmetic: a tile of D 128 is 32 KB, 1.4 us of a multiprocessor's memory time; for it each of a
// block's warps runs 24 ldmatrix, 32 mma and 8 exp per lane for its 16 keys, a few hundred cycles (with 33 to 64 rows: four times
// that, for all 64 keys), and a second block computes meanwhile. Shared memory: written once, read once per group of warps, and
// once for Q: 13 bytes per cycle in and at most 78 out, of 128.
//
// B 16, 8 heads, 8k keys, D 128, bf16: 2 x 16 x 8 x 8192 x 256 bytes = 537 MB, 195 us at 2.75 TB/s; 2 splits, 256 blocks, one wave.
// Partial results are 256 x rows x 520 bytes, under 0.2 % of that with 8 rows.
// B 1, 8 heads, 1k keys: 4.2 MB, 1.4 us at full speed, so latencies decide, about 0.7 us each: lengths, places of keys, the first
// tile, partial result and arrival, 16 partial results, gate and output. And the counters are zeroed before the kernel by a node of
// their own, about 1 us, because the workspace comes as it is; the kernel leaves them zero.
#pragma once

#include "cuda/decode/fma_rows.cuh"
#include "cuda/decode/merge_splits.cuh"
#include "cuda/decode/mma_rows.cuh"

namespace ga::cuda::decode {

// Results and sums of all warps of a block lie in shared memory: [groups][rows of the block's tiles]. Brings those of a row to one
// maximum and adds them up.
template <int D>
GA_DEVICE Sums merge_warps(const float *results, const Sums *sums, int groups, int stride, int row, RowOf<D> &total) {
  float maximum = -INFINITY;
  for (int n = 0; n < groups; n++) maximum = fmaxf(maximum, sums[n * stride + row].maximum);
  float sum = 0.0f;
  GA_UNROLL for (float &y : total.y) y = 0.0f;
  for (int n = 0; n < groups; n++) {
    const int at = n * stride + row;
    const float weight = ex2(sums[at].maximum - finite(maximum));
    sum = fmaf(sums[at].sum, weight, sum);
    GA_UNROLL for (int c = 0; c < total.kColumns; c++) {
      const int d = total.column_of(c);
      if (d < D) total.y[c] = fmaf(results[at * D + d], weight, total.y[c]);
    }
  }
  return {maximum, sum};
}

template <class Rows>
GA_DEVICE void decode(const Arguments &a) {
  constexpr Geometry g = Rows::kGeometry;
  const Layout l = layout_of(g, a.stages, a.query_rows);
  auto *control = reinterpret_cast<Control *>(shared_memory());
  Place found_place;
  if (!find_place(a, g, block_index(), &control->sequence, found_place)) return;
  if (thread_index() == 0) control->place = found_place;
  sync_threads();
  const Place &at = control->place;  // from here on in shared memory: it would take 40 registers

  Ring<Rows> ring(a, at, l);
  const int first = at.tiles.first, end = at.tiles.end;
  for (int stage = 0; stage < a.stages; stage++)
    if (ring.finds(first + stage)) ring.keep(stage, ring.find(first + stage));
  sync_threads();
  for (int stage = 0; stage < a.stages - 1; stage++) ring.load(first + stage, stage);
  Rows::load_queries(a, at, l);

  // Warps that hold the same rows share the tile's slices.
  const int row_tiles = at.rows <= g.warp_rows ? 1 : at.rows <= 2 * g.warp_rows ? 2 : 4;
  constexpr int slices = g.tile_keys / g.slice_keys;
  const int groups = kWarps / row_tiles < slices ? kWarps / row_tiles : slices;
  const int group = warp_index() / row_tiles, tile_row = warp_index() % row_tiles * g.warp_rows;
  const bool works = group < groups && tile_row < at.rows;
  Rows rows(a, at, l, tile_row);
  for (int tile = first, stage = 0, before = a.stages - 1; tile < end; tile++) {
    wait_for_tile(a.stages);
    sync_threads();  // the tile is there, and all have done with the one before it, whose stage the next takes
    ring.load(tile + a.stages - 1, before);
    const int later = tile + a.stages;  // will be in this stage
    const bool finds = ring.finds(later);
    const auto found = finds ? ring.find(later) : typename Ring<Rows>::Found{};
    if (works) {
      GA_NO_UNROLL for (int slice = group; slice < slices; slice += groups) {
        const int row = slice * g.slice_keys, key = tile * g.tile_keys + row;
        if (key < at.keys) rows.slice(ring, stage, row, key);
      }
    }
    if (finds) ring.keep(stage, found);
    before = stage;
    stage = stage + 1 == a.stages ? 0 : stage + 1;
  }
  copy_async_wait<0>();
  sync_threads();

  const int stride = row_tiles * g.warp_rows;
  auto *results = reinterpret_cast<float *>(shared_memory() + l.ring);
  auto *sums = reinterpret_cast<Sums *>(shared_memory() + l.sums);
  if (works) rows.store(results + (group * stride + tile_row) * g.dim, sums + group * stride + tile_row);
  sync_threads();
  RowOf<g.dim> total;
  if (at.used > 1) {
    for (int row = warp_index(); row < at.rows; row += kWarps) {
      const Sums sum = merge_warps<g.dim>(results, sums, groups, stride, row, total);
      write_partial(a, at, row, total, sum);
    }
    if (!arrives_last(a, at, &control->last)) return;
  }
  for (int row = warp_index(); row < at.rows; row += kWarps) {
    const Sums sum =
        at.used > 1 ? merge_splits(a, at, row, total) : merge_warps<g.dim>(results, sums, groups, stride, row, total);
    finish<Rows>(a, at, row, total, sum);
  }
}

template <class Rows>
GA_KERNEL(kThreads, Rows::kGeometry.resident)
decode_kernel(GA_PARAMETER Arguments a) {
  decode<Rows>(a);
}

}  // namespace ga::cuda::decode
