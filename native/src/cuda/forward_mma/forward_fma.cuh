// Prefill in f32 arithmetic throughout: f32 queries, with keys and values of any type, and whatever the mma kernels do not take.
//
// A warp owns 8 packed query rows; lane j computes the scores of key j of a tile of 32, so that a row's softmax is a reduction over
// the warp, and then owns columns j, j + 32, ... of Y. Shared memory, f32:
//   queries  [32][pitch]          whole rows, later Y; pitch: the larger of head_dim and head_dim_v
//   keys     [32][kDims]          a chunk of the dims at a time: partial sums keep the error of long dot products small
//   values   [32][kColumnStep]    a chunk of the columns at a time
//   weights  [32 rows][32 keys]
#pragma once

#include "cuda/forward_mma/place.cuh"
#include "cuda/forward_mma/scores.cuh"
#include "cuda/gate.cuh"
#include "cuda/ptx/thread.cuh"

namespace ga::cuda::prefill {

struct FmaTiling {
  static constexpr int kWarps = 4, kThreads = 32 * kWarps;
  static constexpr int kWarpRows = 8, kQueryBlock = kWarps * kWarpRows;
  static constexpr int kKeyBlock = 32;
  static constexpr int kDims = 32, kKeyPitch = kDims + 4;  // rows of keys begin in eight different groups of banks
  static constexpr int kColumnStep = 128;

  static constexpr int kKeysBytes = 4 * kKeyBlock * kKeyPitch, kValuesBytes = 4 * kKeyBlock * kColumnStep;
  static constexpr int kWeightsBytes = 4 * kQueryBlock * kKeyBlock;
  static constexpr int kPlaceBytes = (static_cast<int>(sizeof(Place)) + 15) / 16 * 16;
  static GA_ALWAYS_INLINE constexpr int pitch(int head_dim, int head_dim_v) {
    return head_dim > head_dim_v ? head_dim : head_dim_v;
  }
  static GA_ALWAYS_INLINE constexpr int shared_bytes(int head_dim, int head_dim_v) {
    return kPlaceBytes + kKeysBytes + kValuesBytes + kWeightsBytes + 4 * kQueryBlock * pitch(head_dim, head_dim_v);
  }
};
static_assert(FmaTiling::shared_bytes(512, 512) <= 99 * 1024);
static_assert(FmaTiling::kKeyPitch % 4 == 0 && FmaTiling::kKeyPitch / 4 % 8 % 2 == 1);

// Four neighbors in shared memory.
struct alignas(16) Four {
  float x[4];
};

// Y has at most kColumns columns.
template <class T, int kColumns>
class ForwardFma {
 public:
  using Tile = FmaTiling;

  GA_DEVICE ForwardFma(const Problem &p, const Tasks &tasks) : p_(p), scores_(scores_of(p)) {
    const Place at = place_of(p, tasks, Tile::kQueryBlock, block_index());
    rows_ = at.rows;
    if (thread_index() == 0) *reinterpret_cast<Place *>(shared_memory()) = at;
    pitch_ = Tile::pitch(p.head_dim, p.head_dim_v);
    GA_UNROLL
    for (float &x : reference_) x = -INFINITY;
  }

  GA_DEVICE void run() {
    if (rows_ <= 0) return;
    sync_threads();  // the place
    load_queries();
    GA_NO_UNROLL
    for (int first = at().first_key; first < at().end_key; first += Tile::kKeyBlock) step(first);
    finish();
  }

 private:
  static constexpr int kRows = Tile::kWarpRows;
  static constexpr int kColumnTiles = kColumns / 32, kStepTiles = Tile::kColumnStep / 32;
  static constexpr Precision kPrecision = kFine;

  GA_DEVICE const Place &at() const { return *reinterpret_cast<const Place *>(shared_memory()); }
  GA_DEVICE float *keys() const { return reinterpret_cast<float *>(shared_memory() + Tile::kPlaceBytes); }
  GA_DEVICE float *values() const { return keys() + Tile::kKeysBytes / 4; }
  GA_DEVICE float *weights() const {  // of this warp's rows
    return values() + (Tile::kValuesBytes / 4 + warp_index() * kRows * Tile::kKeyBlock);
  }
  GA_DEVICE float *query(int r) const {  // r: within the block
    return values() + Tile::kValuesBytes / 4 + Tile::kWeightsBytes / 4 + r * pitch_;
  }
  GA_DEVICE int block_row(int n) const { return warp_index() * kRows + n; }
  GA_DEVICE int position(int r) const { return (at().row0 + r) / p_.group; }
  GA_DEVICE int query_head(int r) const { return at().head * p_.group + (at().row0 + r) % p_.group; }
  GA_DEVICE bool attends(int r) const { return r < rows_ && position(r) < at().of.queries; }
  GA_DEVICE char *query_row(const View &view, int r) const {
    return view.at(at().of.query_entry, at().of.query_row + position(r), query_head(r));
  }

  // The rows of a warp are loaded and read by that warp alone.
  GA_DEVICE void load_queries() {
    GA_NO_UNROLL
    for (int n = 0; n < kRows; n++) {
      const int r = block_row(n);
      const char *from = attends(r) ? query_row(p_.q, r) : nullptr;
      GA_NO_UNROLL
      for (int d = lane_index(); d < p_.head_dim; d += 32) {
        const float x = from ? load_element<T>(from, 1, d) : 0;
        query(r)[d] = scores_.negate ? -x : x;
      }
    }
  }

  // Columns [from, from + step) of a tile of keys or values, row by row; those beyond extent and keys that nobody sees are 0.
  // True where this thread met NaN or an infinity.
  template <int kStep>
  GA_DEVICE bool load_keys(const View &view, const View &scale, int first, int from, int extent, float *to,
                           int to_pitch) const {
    bool found = false;
    GA_NO_UNROLL
    for (int r = warp_index(); r < Tile::kKeyBlock; r += Tile::kWarps) {
      const int key = first + r;
      const bool there = key < at().end_key;
      const char *row = there ? key_row(p_, at().of, view, key, at().head) : nullptr;
      const float factor = there ? scale_of(scale, key) : 1;
      GA_UNROLL
      for (int d = lane_index(); d < kStep; d += 32) {
        const float x = there && from + d < extent ? load_element(view, row, from + d) * factor : 0;
        found |= is_no_number(x);
        to[r * to_pitch + d] = x;
      }
    }
    return found;
  }
  // Of a key of an int8 cache.
  GA_DEVICE float scale_of(const View &scale, int key) const {
    return scale.data ? *reinterpret_cast<const float *>(key_row(p_, at().of, scale, key, at().head)) : 1;
  }
  GA_DEVICE static bool is_no_number(float x) { return !(fabsf(x) < INFINITY); }

  GA_DEVICE void step(int first) {
    float s[kRows];
    multiply_keys(s, first);
    weigh(s, first);
    const bool masked = first < at().all_first || first + Tile::kKeyBlock > at().all_end;
    GA_UNROLL
    for (int step = 0; step < kColumns / Tile::kColumnStep; step++) {
      const int from = step * Tile::kColumnStep;
      if (from >= p_.head_dim_v) break;
      sync_threads();
      const bool found =
          load_keys<Tile::kColumnStep>(p_.v, p_.v_scale, first, from, p_.head_dim_v, values(), Tile::kColumnStep);
      const bool unsafe = sync_threads_or(found);  // now the warp's own weights are there, too
      if (masked && unsafe) set_apart(step, first);
      multiply_values(step);
    }
  }

  // s[n] = q of row n . k of this lane's key
  GA_DEVICE void multiply_keys(float (&s)[kRows], int first) {
    GA_UNROLL
    for (float &x : s) x = 0;
    GA_NO_UNROLL
    for (int from = 0; from < p_.head_dim; from += Tile::kDims) {
      sync_threads();
      load_keys<Tile::kDims>(p_.k, View{}, first, from, p_.head_dim, keys(), Tile::kKeyPitch);
      sync_threads();
      const int dims = p_.head_dim - from < Tile::kDims ? p_.head_dim - from : Tile::kDims;  // a multiple of 8
      float part[kRows] = {};
      GA_NO_UNROLL
      for (int d = 0; d < dims; d += 4) {
        const Four k = *reinterpret_cast<const Four *>(keys() + lane_index() * Tile::kKeyPitch + d);
        GA_UNROLL
        for (int n = 0; n < kRows; n++) {
          const Four q = *reinterpret_cast<const Four *>(query(block_row(n)) + from + d);
          GA_UNROLL
          for (int i = 0; i < 4; i++) part[n] = fmaf(q.x[i], k.x[i], part[n]);
        }
      }
      GA_UNROLL
      for (int n = 0; n < kRows; n++) s[n] += part[n];
    }
    const int key = first + lane_index();
    if (!p_.k_scale.data || key >= at().end_key) return;
    const float scale = scale_of(p_.k_scale, key);  // keys that were scaled before would be rounded once per element
    GA_UNROLL
    for (float &x : s) x *= scale;
  }

  // Which keys of the tile that begins with key first row n of this warp sees.
  GA_DEVICE Seen seen(int n, int first) const {
    const int r = block_row(n);
    return seen_keys(at(), attends(r) ? position(r) : kNoQuery, first, Tile::kKeyBlock);
  }

  // Scores become weights in shared memory, relative to a reference that follows the row's maximum; sums and Y with it.
  GA_DEVICE void weigh(float (&s)[kRows], int first) {
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const Seen row = seen(n, first);
      if (scores_.capped) s[n] = tanh_of<kPrecision>(s[n] * scores_.before);
      if (lane_index() < row.lo || lane_index() >= row.hi) s[n] = -INFINITY;
      float maximum = s[n];
      GA_UNROLL
      for (int mask = 16; mask > 0; mask /= 2) maximum = fmaxf(maximum, shuffle_xor(maximum, mask));
      maximum *= scores_.factor;
      if (maximum > reference_[n] + kRescaleAt) {  // always where it was -infinity
        const float shrink = exp2f(reference_[n] - maximum);
        reference_[n] = maximum;
        sum_[n] *= shrink;
        GA_UNROLL
        for (int c = 0; c < kColumnTiles; c++) y_[n][c] *= shrink;
      }
      const float weight = exp2f(fmaf(s[n], scores_.factor, reference_[n] == -INFINITY ? 0 : -reference_[n]));
      sum_[n] += weight;
      weights()[n * Tile::kKeyBlock + lane_index()] = weight;
    }
  }

  // Weights of keys that a row does not see are 0, and 0 times NaN would reach it: values that are no numbers are added to those
  // rows that see them, whatever their weights, and leave zeros in the tile.
  GA_DEVICE void set_apart(int step, int first) {
    uint32_t rows[kRows];  // lo, hi
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const Seen row = seen(n, first);
      rows[n] = static_cast<uint32_t>(row.lo | row.hi << 16);
    }
    GA_NO_UNROLL
    for (uint32_t key = 0; key < Tile::kKeyBlock; key++) {
      GA_UNROLL
      for (int c = 0; c < kStepTiles; c++) {
        const float v = values()[key * Tile::kColumnStep + c * 32 + lane_index()];
        GA_UNROLL
        for (int n = 0; n < kRows; n++)
          if (is_no_number(v) && key >= (rows[n] & 0xffff) && key < rows[n] >> 16) y_[n][step * kStepTiles + c] += v;
      }
    }
    sync_threads();
    GA_NO_UNROLL
    for (int n = thread_index(); n < Tile::kKeyBlock * Tile::kColumnStep; n += Tile::kThreads)
      if (is_no_number(values()[n])) values()[n] = 0;
    sync_threads();
  }

  // y += P V for the columns of a step.
  GA_DEVICE void multiply_values(int step) {
    GA_UNROLL
    for (int c = 0; c < kStepTiles; c += 2) {
      float part[kRows][2] = {};
      GA_NO_UNROLL
      for (int key = 0; key < Tile::kKeyBlock; key += 4) {
        float v[4][2];
        GA_UNROLL
        for (int i = 0; i < 4; i++) GA_UNROLL
        for (int e = 0; e < 2; e++) v[i][e] = values()[(key + i) * Tile::kColumnStep + (c + e) * 32 + lane_index()];
        GA_UNROLL
        for (int n = 0; n < kRows; n++) {
          const Four weight = *reinterpret_cast<const Four *>(weights() + n * Tile::kKeyBlock + key);
          GA_UNROLL
          for (int i = 0; i < 4; i++) {
            part[n][0] = fmaf(weight.x[i], v[i][0], part[n][0]);
            part[n][1] = fmaf(weight.x[i], v[i][1], part[n][1]);
          }
        }
      }
      GA_UNROLL
      for (int n = 0; n < kRows; n++) {
        y_[n][step * kStepTiles + c] += part[n][0];
        y_[n][step * kStepTiles + c + 1] += part[n][1];
      }
    }
  }

  GA_DEVICE static float sum_over_warp(float x) {
    GA_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) x += shuffle_xor(x, mask);
    return x;
  }

  GA_DEVICE void finish() {
    float factor[kRows];
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const int r = block_row(n);
      const float sum = sum_over_warp(sum_[n]);
      float squares = 0;
      const Denominator end = denominator(p_, query_head(r < rows_ ? r : 0), sum, reference_[n]);
      if (p_.pre_gate == GA_PRE_RMS_NORM) {
        GA_UNROLL
        for (int c = 0; c < kColumnTiles; c++) {
          const float y = y_[n][c] * end.keys;
          squares = fmaf(y, y, squares);
        }
        squares = sum_over_warp(squares);
      }
      factor[n] = p_.pre_gate == GA_PRE_RMS_NORM ? norm_factor(p_, end, squares) : row_factor(end);
      if (r < rows_ && p_.lse.data && lane_index() == 0) *reinterpret_cast<float *>(query_row(p_.lse, r)) = end.lse;
    }
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {  // each lane reads again what it wrote
      GA_UNROLL
      for (int c = 0; c < kColumnTiles; c++) {
        const int d = 32 * c + lane_index();
        if (d < p_.head_dim_v) query(block_row(n))[d] = y_[n][c] * factor[n];
      }
    }
    GA_NO_UNROLL
    for (int r = block_row(0); r < block_row(kRows) && r < rows_; r++)
      finish_row<T>(p_, at().of.query_entry, at().of.query_row + position(r), query_head(r), query(r), 1, lane_index(),
                    32);
  }

  const Problem &p_;
  const Scores scores_;
  int rows_, pitch_;
  float y_[kRows][kColumnTiles] = {};
  float reference_[kRows], sum_[kRows] = {};
};

template <class T, int kColumns>
GA_KERNEL(FmaTiling::kThreads, 2)
forward_fma(GA_PARAMETER Problem p, GA_PARAMETER Tasks tasks) {
  ForwardFma<T, kColumns>(p, tasks).run();
}

}  // namespace ga::cuda::prefill
