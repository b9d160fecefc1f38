// Gated attention forward on Hopper: out = a(gate) (softmax(scale q k^T + mask) v), 128 query rows of a head at a time.
//
// One producer warp feeds a ring of slots in shared memory: K(n-1) K(n-2) V(n-1) ... K(0) V(1) V(0) gate gate. Two warpgroups of
// 64 rows each consume it in turns: while one multiplies, the other is at its softmax. Q K(j) is issued beside P V(j+1). The gate
// is the last tile of the ring: it is there before it is needed, is activated while the last P V runs, in registers that scores no
// longer need, and the output leaves through its slot.
#pragma once

#include "cuda/forward_sm90/activate.cuh"
#include "cuda/forward_sm90/arguments.h"
#include "cuda/forward_sm90/repair.cuh"
#include "cuda/gate.cuh"
#include "cuda/ptx/wgmma.cuh"

namespace ga::cuda::sm90 {

constexpr int kWarpgroups = 2, kThreads = 128 * (kWarpgroups + 1);
// Named barriers: turns of the warpgroups (one each), rows of one warpgroup (one each), both.
constexpr int kTurn = 1, kOwn = 3, kBoth = 5;

// A position in the ring, and how often it went around.
template <int Slots>
struct Cursor {
  int slot = 0;
  uint32_t phase = 0;
  GA_DEVICE void next() {
    if (++slot == Slots) {
      slot = 0;
      phase ^= 1;
    }
  }
};

// Shared memory: Q, slots, barriers, and which tiles are at work.
template <int D>
struct Memory {
  static constexpr Shape kShape = shape_of(D);
  uint32_t base;
  Barrier *barriers;
  Tile *tiles;

  GA_DEVICE Memory()
      : base(shared_address(shared_memory())),
        barriers(reinterpret_cast<Barrier *>(shared_memory() + kShape.barriers_at())),
        tiles(reinterpret_cast<Tile *>(shared_memory() + kShape.tiles_at())) {}
  GA_DEVICE uint32_t query(int warpgroup) const {
    return base + static_cast<uint32_t>(warpgroup * kShape.query_bytes() / 2);
  }
  GA_DEVICE uint32_t slot(int n) const {
    return base + static_cast<uint32_t>(kShape.query_bytes() + n * kShape.slot_bytes());
  }
  GA_DEVICE Barrier *full(int n) const { return barriers + n; }
  GA_DEVICE Barrier *empty(int n) const { return barriers + kShape.slots + n; }
  GA_DEVICE Barrier *query_full() const { return barriers + 2 * kShape.slots; }
  GA_DEVICE Barrier *query_empty() const { return barriers + 2 * kShape.slots + 1; }

  GA_DEVICE void init() const {
    for (int n = 0; n < kShape.slots; ++n) {
      barrier_init(full(n), 1);
      barrier_init(empty(n), kWarpgroups);
    }
    barrier_init(query_full(), 1);
    barrier_init(query_empty(), kWarpgroups);
    fence_barrier_init();
  }
};

// One thread.
template <int D, GateKind G>
GA_DEVICE void produce(const Arguments &a, const Memory<D> &memory) {
  constexpr Shape shape = shape_of(D);
  Cursor<shape.slots> at;
  const auto put = [&](const TensorMap *map, int rows, int row, int head, int entry) {
    Barrier *full = memory.full(at.slot);
    barrier_wait(memory.empty(at.slot), at.phase ^ 1);
    barrier_arrive_expect(full, static_cast<uint32_t>(rows * D * 2));
    GA_NO_UNROLL for (int c = 0; c < shape.chunks(); ++c)
        tile_load(memory.slot(at.slot) + static_cast<uint32_t>(c * rows * shape.row_bytes()), map, full,
                  c * shape.chunk_columns(), row, head, entry);
    at.next();
  };
  Tiles tiles(a.p, a.work, shape.key_block, block_index(), block_count());
  for (uint32_t n = 0;; ++n) {
    // Two tiles back may still be read; of three back nothing is.
    Tile &t = memory.tiles[n % 4];
    if (!tiles.next(t)) t.rows = 0, t.blank = -1;
    barrier_wait(memory.query_empty(), (n & 1) ^ 1);
    if (t.rows <= 0) {
      barrier_arrive(memory.query_full());
      if (t.blank < 0) return;
      continue;
    }
    const int kv_head = t.head / a.p.group;
    const auto put_keys = [&](const TensorMap *map, int block) {
      put(map, shape.key_block, t.key_row + block * shape.key_block, kv_head, t.key_entry);
    };
    barrier_arrive_expect(memory.query_full(), static_cast<uint32_t>(shape.query_bytes()));
    GA_NO_UNROLL for (int w = 0; w < kWarpgroups; ++w) {
      GA_NO_UNROLL for (int c = 0; c < shape.chunks(); ++c) tile_load(
          memory.query(w) + static_cast<uint32_t>(c * Shape::warpgroup_rows * shape.row_bytes()), &a.q,
          memory.query_full(), c * shape.chunk_columns(), t.query_row + w * Shape::warpgroup_rows, t.head, t.query_entry);
    }
    put_keys(&a.k, t.to - 1);
    for (int j = t.to - 2; j >= t.from; --j) {
      put_keys(&a.k, j);
      put_keys(&a.v, j + 1);
    }
    put_keys(&a.v, t.from);
    GA_NO_UNROLL for (int w = 0; w < kWarpgroups; ++w) {
      if constexpr (G == GateKind::kElement) {
        put(&a.gate, Shape::warpgroup_rows, t.query_row + w * Shape::warpgroup_rows, a.p.gate.head ? t.head : 0,
            a.p.gate.batch ? t.query_entry : 0);
      } else {  // a slot for the output to leave through
        barrier_wait(memory.empty(at.slot), at.phase ^ 1);
        barrier_arrive(memory.full(at.slot));
        at.next();
      }
    }
  }
}

// 64 rows of each tile. A thread holds two of them, r and r + 8, and of each the columns 8 i + c, 8 i + c + 1.
template <typename T, int D, GateKind G>
class Consumer {
  static constexpr Shape shape = shape_of(D);
  static constexpr int kKeys = shape.key_block, kRowBytes = shape.row_bytes();

 public:
  GA_DEVICE Consumer(const Arguments &a, const Memory<D> &memory) : a_(a), memory_(memory) {}

  GA_DEVICE void run() {
    if (warpgroup() == 0) named_arrive(kTurn, 256);  // the first turn is its own
    for (uint32_t n = 0;; ++n) {
      barrier_wait(memory_.query_full(), n & 1);
      const Tile &t = memory_.tiles[n % 4];
      if (t.blank < 0) break;
      if (t.rows > 0) attend(t);
      if (t.blank > 0) blank(t);
      if (t.rows > 0) continue;
      named_sync(kOwn + warpgroup(), 128);  // where there are no products, nothing else keeps warps together
      if (leader()) barrier_arrive(memory_.query_empty());
    }
    if (warpgroup() == 1) named_sync(kTurn, 256);  // the turn that is left
    release_output();
  }

 private:
  using At = Cursor<shape.slots>;

  // Computed again at each use: registers are scarcer.
  static GA_DEVICE int warpgroup() { return warp_index() / 4 - 1; }
  static GA_DEVICE int row() { return thread_index() % 128 / 32 * 16 + lane_index() / 4; }
  static GA_DEVICE int column() { return lane_index() % 4 * 2; }
  static GA_DEVICE bool leader() { return thread_index() % 128 == 0; }

  GA_DEVICE void ready(const At &at) const { barrier_wait(memory_.full(at.slot), at.phase); }
  GA_DEVICE void release(const At &at) const {
    if (leader()) barrier_arrive(memory_.empty(at.slot));
  }

  // s [64 x keys] = q [64 x D] k [keys x D]^T
  GA_DEVICE void multiply_qk(float (&s)[kKeys / 2], uint32_t k) const {
    const uint32_t q = memory_.query(warpgroup());
    wgmma_fence();
    GA_UNROLL for (int step = 0; step < D / 16; ++step) {
      const int chunk = step * 16 / shape.chunk_columns(), offset = step * 16 % shape.chunk_columns() * 2;
      Wgmma<T, kKeys, false>::shared_shared(
          s, wgmma_operand<kRowBytes>(q + static_cast<uint32_t>(chunk * Shape::warpgroup_rows * kRowBytes + offset), 0),
          wgmma_operand<kRowBytes>(k + static_cast<uint32_t>(chunk * kKeys * kRowBytes + offset), 0), step > 0);
    }
    wgmma_commit();
  }

  // o [64 x D] += p [64 x keys] v [keys x D]
  GA_DEVICE void multiply_pv(float (&o)[D / 2], const uint32_t (&p)[kKeys / 16][4], uint32_t v) const {
    wgmma_fence();
    GA_UNROLL for (int step = 0; step < kKeys / 16; ++step) {
      Wgmma<T, D, true>::registers_shared(
          o, p[step], wgmma_operand<kRowBytes>(v + static_cast<uint32_t>(step * 16 * kRowBytes), kKeys * kRowBytes),
          true);
    }
    wgmma_commit();
  }

  // Keys that a row does not see: of rows that are none, whatever the first key block holds.
  GA_DEVICE void mask(const Tile &t, int block, float (&s)[kKeys / 2]) const {
    if (block >= t.plain_from && block < t.plain_to) return;
    const Window window = window_of(a_.p);
    const int first = t.first + warpgroup() * Shape::warpgroup_rows;
    GA_UNROLL for (int h = 0; h < 2; ++h) {
      const int lo = window.lo(first + row() + 8 * h, t) - block * kKeys - column();
      const int hi = window.hi(first + row() + 8 * h, t) - block * kKeys - column();
      GA_UNROLL for (int i = 0; i < kKeys / 8; ++i) {
        GA_UNROLL for (int e = 0; e < 2; ++e) {
          const int key = 8 * i + e;
          if (key < lo || key >= hi) s[4 * i + 2 * h + e] = -INFINITY;
        }
      }
    }
  }

  // Scores become exp2(scale score - maximum), and rescale what the outputs so far are to be multiplied by.
  GA_DEVICE void softmax(float (&s)[kKeys / 2], float (&maximum)[2], float (&sum)[2], float (&rescale)[2]) const {
    GA_UNROLL for (int h = 0; h < 2; ++h) {
      float m = maximum[h];
      GA_UNROLL for (int i = 0; i < kKeys / 8; ++i) m = fmaxf(m, fmaxf(s[4 * i + 2 * h], s[4 * i + 2 * h + 1]));
      m = fmaxf(m, shuffle_xor(m, 1));
      m = fmaxf(m, shuffle_xor(m, 2));
      const float base = m == -INFINITY ? 0.F : m * a_.scale_log2;
      rescale[h] = ex2(maximum[h] * a_.scale_log2 - base);
      maximum[h] = m;
      float own = 0;
      GA_UNROLL for (int i = 0; i < kKeys / 8; ++i) {
        GA_UNROLL for (int e = 0; e < 2; ++e) {
          float &x = s[4 * i + 2 * h + e];
          x = ex2(fmaf(x, a_.scale_log2, -base));
          own += x;
        }
      }
      sum[h] = fmaf(sum[h], rescale[h], own);
    }
  }

  GA_DEVICE void pack_probabilities(const float (&s)[kKeys / 2], uint32_t (&p)[kKeys / 16][4]) const {
    GA_UNROLL for (int step = 0; step < kKeys / 16; ++step) {
      GA_UNROLL for (int i = 0; i < 4; ++i) p[step][i] = pack<T>(s[8 * step + 2 * i], s[8 * step + 2 * i + 1]);
    }
  }

  // Values of keys that no row of the tile sees become zeros: a probability of 0 times NaN is NaN. The warpgroups wait for each
  // other here, so it must not be within a turn of one.
  GA_DEVICE void clear_unseen(const Tile &t, int block, const At &value) const {
    const int lo = t.key_lo - block * kKeys, hi = t.key_hi - block * kKeys;
    if (lo <= 0 && hi >= kKeys) return;
    ready(value);
    const uint32_t v = memory_.slot(value.slot);
    const int thread = thread_index() - 128;  // both warpgroups share the rows
    constexpr int kUnits = kRowBytes / 16;
    for (int i = thread; i < shape.chunks() * kKeys * kUnits; i += 256) {
      const int key = i / kUnits % kKeys;
      if (key < lo || key >= hi) store_shared(v + static_cast<uint32_t>(i * 16), Words4{{0, 0, 0, 0}});
    }
    fence_async_proxy();
    named_sync(kBoth, 256);
  }

  GA_DEVICE void attend(const Tile &t);
  GA_DEVICE void finish(const Tile &t, At value, float (&o)[D / 2], const float (&maximum)[2], const float (&sum)[2]);
  GA_DEVICE void store(const Tile &t, uint32_t slot) const;

  // Rows of padding end as rows that see no key. Each warp takes some.
  GA_DEVICE void blank(const Tile &t) const {
    const Problem &p = a_.p;
    const Denominator row = denominator(p, t.head, 0, -INFINITY);
    const float y = 0 * row_factor(row);
    const int from = t.rows < 0 ? 0 : t.rows;
    GA_NO_UNROLL for (int r = from + warp_index() - 4; r < from + t.blank; r += 4 * kWarpgroups) {
      const int i = t.query_row + r;
      const char *scores = p.gate.data ? p.gate.at(t.query_entry, i, t.head) : nullptr;
      T *out = reinterpret_cast<T *>(p.out.at(t.query_entry, i, t.head));
      GA_NO_UNROLL for (int d = lane_index(); d < D; d += 32) {
        const float a = scores ? activate<precision<T>()>(p.activation, load_element(p.gate, scores, d)) : 0;
        out[d] = from_float<T>(finish_element<T>(p, y, 1, a));
      }
      if (p.lse.data && lane_index() == 0) *reinterpret_cast<float *>(p.lse.at(t.query_entry, i, t.head)) = row.lse;
    }
  }

  // The slot through which the last output left may be used again, once the copy engine has read it.
  GA_DEVICE void release_output() {
    if (!leader() || output_slot_ < 0) return;
    tile_store_wait_read<0>();
    barrier_arrive(memory_.empty(output_slot_));
    output_slot_ = -1;
  }

  const Arguments &a_;
  const Memory<D> &memory_;
  At at_;
  int output_slot_ = -1;
};

template <typename T, int D, GateKind G>
GA_DEVICE void Consumer<T, D, G>::attend(const Tile &t) {
  float s[kKeys / 2], o[D / 2];
  float maximum[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0}, rescale[2];
  uint32_t p[kKeys / 16][4];
  GA_UNROLL for (int i = 0; i < D / 2; ++i) o[i] = 0;

  ready(at_);
  multiply_qk(s, memory_.slot(at_.slot));
  release_output();  // of the tile before, whose store ran meanwhile
  wgmma_wait<0>();
  wgmma_results(s);
  release(at_);
  at_.next();
  mask(t, t.to - 1, s);
  softmax(s, maximum, sum, rescale);
  pack_probabilities(s, p);

  GA_NO_UNROLL for (int j = t.to - 2; j >= t.from; --j) {
    const At key = at_;
    at_.next();
    const At value = at_;
    at_.next();
    clear_unseen(t, j + 1, value);
    ready(key);
    named_sync(kTurn + warpgroup(), 256);
    multiply_qk(s, memory_.slot(key.slot));
    ready(value);
    multiply_pv(o, p, memory_.slot(value.slot));
    named_arrive(kTurn + 1 - warpgroup(), 256);
    wgmma_wait<1>();
    wgmma_results(s);
    release(key);
    mask(t, j, s);
    softmax(s, maximum, sum, rescale);
    wgmma_wait<0>();
    wgmma_results(o);
    release(value);
    pack_probabilities(s, p);
    GA_UNROLL for (int i = 0; i < D / 2; ++i) o[i] *= rescale[i / 2 % 2];
  }
  if (leader()) barrier_arrive(memory_.query_empty());
  const At value = at_;
  at_.next();
  clear_unseen(t, t.from, value);
  ready(value);
  multiply_pv(o, p, memory_.slot(value.slot));
  finish(t, value, o, maximum, sum);
}

// The end of the rows, in the shadow of the last product as far as registers allow.
template <typename T, int D, GateKind G>
GA_DEVICE void Consumer<T, D, G>::finish(const Tile &t, At value, float (&o)[D / 2], const float (&maximum)[2],
                                         const float (&sum)[2]) {
  constexpr bool kActivateEarly = G == GateKind::kElement && D <= 128;
  const Problem &problem = a_.p;
  At own = at_;
  for (int w = 0; w < kWarpgroups; ++w) {
    if (w == warpgroup()) {
      own = at_;
    } else if (leader()) {  // the other's, at once; nobody else may wait for what can come round again before it looks
      ready(at_);
      release(at_);
    }
    at_.next();
  }
  const uint32_t slot = memory_.slot(own.slot);
  const int matrix_row = thread_index() % 128 / 32 * 16 + lane_index() % 16;
  // Of the 16 x 16 elements from column 16 block on of this warp's rows, what load_matrix and store_matrix want of a lane.
  const auto address = [&](int block) {
    const int chunk = block * 16 / shape.chunk_columns(),
              unit = block * 16 % shape.chunk_columns() / 8 + lane_index() / 16;
    const int turn = kRowBytes == 128 ? matrix_row & 7 : matrix_row >> 1 & 3;
    return slot + static_cast<uint32_t>((chunk * Shape::warpgroup_rows + matrix_row) * kRowBytes + ((unit ^ turn) << 4));
  };
  float gate[kActivateEarly ? D / 2 : 8];
  const auto activate_block = [&](int block, float *to) {
    uint32_t u[4];
    load_matrix(u, address(block));
    activate_eight<T>(problem.activation, u, to);
  };
  if constexpr (kActivateEarly) {
    ready(own);
    GA_UNROLL for (int block = 0; block < D / 16; ++block) activate_block(block, gate + 8 * block);
  }

  float factor[2], addend[2] = {0, 0}, all[2];
  GA_UNROLL for (int h = 0; h < 2; ++h) {
    all[h] = sum[h] + shuffle_xor(sum[h], 1);
    all[h] += shuffle_xor(all[h], 2);
    const int r = warpgroup() * Shape::warpgroup_rows + row() + 8 * h;
    const Denominator end = denominator(problem, t.head, all[h], maximum[h] * a_.scale_log2);
    factor[h] = row_factor(end);
    if (r < t.rows) {
      if (problem.lse.data && lane_index() % 4 == 0)
        *reinterpret_cast<float *>(problem.lse.at(t.query_entry, t.query_row + r, t.head)) = end.lse;
      if constexpr (G == GateKind::kHead) {
        const char *score = problem.gate.at(t.query_entry, t.query_row + r, t.head);
        const float a = activate<precision<T>()>(problem.activation, load_element(problem.gate, score, 0));
        if (problem.combination == GA_ADD)
          addend[h] = a;
        else
          factor[h] *= a;
      }
    }
  }

  wgmma_wait<0>();
  wgmma_results(o);
  release(value);
  if constexpr (!kActivateEarly) ready(own);
  float zero[2] = {0, 0};  // NaN where an output is none or infinite
  GA_UNROLL for (int i = 0; i < D / 2; ++i) zero[i / 2 % 2] = fmaf(o[i], 0, zero[i / 2 % 2]);
  GA_UNROLL for (int block = 0; block < D / 16; ++block) {
    uint32_t u[4];
    float *x = o + 8 * block;
    const float *a = kActivateEarly ? gate + 8 * block : gate;
    if constexpr (G == GateKind::kElement && !kActivateEarly) activate_block(block, gate);
    GA_UNROLL for (int i = 0; i < 8; ++i) {
      const int h = i / 2 % 2;
      if constexpr (G == GateKind::kElement)
        x[i] = problem.combination == GA_ADD ? fmaf(x[i], factor[h], a[i]) : x[i] * factor[h] * a[i];
      else
        x[i] = fmaf(x[i], factor[h], addend[h]);
    }
    GA_UNROLL for (int i = 0; i < 4; ++i) u[i] = pack<T>(x[2 * i], x[2 * i + 1]);
    if constexpr (G == GateKind::kElement && !kActivateEarly) sync_warp();
    store_matrix(address(block), u);
  }
  sync_warp();
  const int first = warpgroup() * Shape::warpgroup_rows + thread_index() % 128 / 32 * 16;
  repair_rows<T, D>(a_, t, first, {zero[0] != 0, zero[1] != 0}, all, maximum, [&](int r, int d) {
    const int r64 = r % Shape::warpgroup_rows, turn = kRowBytes == 128 ? r64 & 7 : r64 >> 1 & 3;
    const int line = d / shape.chunk_columns() * Shape::warpgroup_rows + r64, unit = d % shape.chunk_columns() / 8 ^ turn;
    return reinterpret_cast<T *>(shared_memory() + (slot - memory_.base)) + line * kRowBytes / 2 + unit * 8 + d % 8;
  });
  store(t, slot);
  output_slot_ = own.slot;
}

// From the slot to the output: by the copy engine where all 64 rows are the sequence's own or lie behind the tensor's end, else
// row by row. The rows after a sequence's are another's, or padding.
template <typename T, int D, GateKind G>
GA_DEVICE void Consumer<T, D, G>::store(const Tile &t, uint32_t slot) const {
  const int first = warpgroup() * Shape::warpgroup_rows, rows = t.rows - first;
  const bool whole = rows >= Shape::warpgroup_rows || a_.p.alike();
  if (whole) {
    fence_async_proxy();
    named_sync(kOwn + warpgroup(), 128);
    if (!leader() || rows <= 0) return;
    GA_NO_UNROLL for (int c = 0; c < shape.chunks(); ++c)
        tile_store(&a_.out, slot + static_cast<uint32_t>(c * Shape::warpgroup_rows * kRowBytes),
                   c * shape.chunk_columns(), t.query_row + first, t.head, t.query_entry);
    tile_store_commit();
    return;
  }
  named_sync(kOwn + warpgroup(), 128);
  constexpr int kUnits = kRowBytes / 16;
  for (int i = thread_index() % 128; i < Shape::warpgroup_rows * shape.chunks() * kUnits; i += 128) {
    const int r = i / (shape.chunks() * kUnits), chunk = i / kUnits % shape.chunks(), unit = i % kUnits;
    if (r >= rows) continue;
    const int turn = kRowBytes == 128 ? r & 7 : r >> 1 & 3;
    const Words4 w =
        load_shared(slot + static_cast<uint32_t>((chunk * Shape::warpgroup_rows + r) * kRowBytes + ((unit ^ turn) << 4)));
    char *out = a_.p.out.at(t.query_entry, t.query_row + first + r, t.head);
    store_global(reinterpret_cast<Words4 *>(out) + chunk * kUnits + unit, w);
  }
  fence_async_proxy();
  named_sync(kOwn + warpgroup(), 128);  // all have read before the slot is released
}

template <typename T, int D, GateKind G>
GA_KERNEL(kThreads, 1)
forward(GA_PARAMETER Arguments a) {
  const Memory<D> memory;
  if (thread_index() == 0) memory.init();
  sync_threads();
  if (warp_index() < 4) {
    registers_down<40>();
    if (thread_index() == 0) produce<D, G>(a, memory);
  } else {
    registers_up<232>();
    Consumer<T, D, G>(a, memory).run();
  }
}

}  // namespace ga::cuda::sm90
