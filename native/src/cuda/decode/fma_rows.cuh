// 8 query rows of a warp in plain f32: whatever tensor cores would round. 8 keys at once.
//
// Scores: lane l takes key l % 8 and every fourth 16-byte chunk from l / 8 on, for all 8 rows; the four parts of a sum are added so
// that lane l ends with rows 2 (l / 8) and the next. Weights go through shared memory, since for the values a lane takes columns:
// 4 l + 128 c and the three after, all rows.
#pragma once

#include "cuda/decode/ring.cuh"
#include "cuda/decode/scores.cuh"

namespace ga::cuda::decode {

// Four elements of a row from a chunk's bytes on, in f32.
template <class K>
GA_DEVICE void load_four(const uint8_t *from, float (&x)[4]) {
  struct alignas(4 * sizeof(K)) Four {
    K x[4];
  };
  const Four four = *reinterpret_cast<const Four *>(from);
  GA_UNROLL for (int e = 0; e < 4; e++) x[e] = widen(four.x[e]);
}

template <class K, int D>
class FmaRows {
 public:
  using Key = K;
  static constexpr Geometry kGeometry = fma_geometry(D, sizeof(K));
  static constexpr bool kTensorCores = false;

  // All threads: the block's rows of Q into shared memory in f32, zeros where there are none.
  static GA_DEVICE void load_queries(const Arguments &a, const Place &at, const Layout &l) {
    const Problem &p = a.p;
    auto *to = reinterpret_cast<float *>(shared_memory() + l.queries);
    GA_NO_UNROLL for (int i = thread_index(); i < a.query_rows * D; i += kThreads) {
      const int row = i / D, d = i % D;
      const int64_t query = at.query(p, row);
      to[i] = row < at.rows && query < at.of.queries && d < p.head_dim
                  ? load_element(p.q, p.q.at(at.of.query_entry, at.of.query_row + query, at.head(p, row)), d)
                  : 0.0f;
    }
  }

  GA_DEVICE FmaRows(const Arguments &a, const Place &at, const Layout &l, int tile_row)
      : scores_(a.p),
        several_(at.several),
        q_(reinterpret_cast<const float *>(shared_memory() + l.queries) + tile_row * D),
        weights_(reinterpret_cast<float *>(shared_memory() + l.warps + warp_index() * kGeometry.warp_bytes)) {
    GA_UNROLL for (int h = 0; h < 2; h++) {
      sees_[h] = keys_of_row(a.p, at, tile_row + lane_index() / 8 * 2 + h);
      sums_[h] = {-INFINITY, 0.0f};
    }
    GA_UNROLL for (int r = 0; r < 8; r++) GA_UNROLL for (int c = 0; c < kColumns; c++) o_[r][c] = 0.0f;
  }

  // Keys [key, key + 8) of the block's, which are rows [row, row + 8) of a tile.
  GA_DEVICE void slice(const Ring<FmaRows> &ring, int stage, int row, int key) {
    float s[2];
    products(shared_memory() + ring.keys(stage), row, s);
    uint32_t seen[2];
    softmax(ring, stage, row, key, s, seen);
    if (several_)
      add_values<true>(shared_memory() + ring.values(stage), row, seen);
    else
      add_values<false>(shared_memory() + ring.values(stage), row, seen);
    sync_warp();  // before the next slice's weights are written
  }

  GA_DEVICE void store(float *results, Sums *sums) {
    GA_UNROLL for (int h = 0; h < 2; h++) {
      float sum = sums_[h].sum;
      GA_UNROLL for (int other = 1; other < 8; other *= 2) sum += shuffle_xor(sum, other);
      if (lane_index() % 8 == 0) sums[lane_index() / 8 * 2 + h] = {sums_[h].maximum, sum};
    }
    GA_UNROLL for (int r = 0; r < 8; r++) GA_UNROLL for (int c = 0; c < kColumns; c++) results[r * D + column(c)] =
        o_[r][c];
  }

 private:
  static constexpr int kColumns = D / 32;
  static GA_DEVICE int column(int c) { return c / 4 * 128 + 4 * lane_index() + c % 4; }

  // s: of this lane's key, rows 2 (lane / 8) and the next.
  GA_DEVICE void products(const uint8_t *keys, int row, float (&s)[2]) const {
    constexpr int elements = 16 / sizeof(K);
    float sum[8] = {};
    const int key = row + lane_index() % 8, part = lane_index() / 8;
    GA_UNROLL for (int i = 0; i < kGeometry.row_bytes / 64; i++) {
      const int chunk = part + 4 * i;
      const uint8_t *from = keys + swizzled_chunk(key, chunk, kGeometry.row_bytes);
      GA_UNROLL for (int e = 0; e < elements; e += 4) {
        float k[4];
        load_four<K>(from + e * sizeof(K), k);
        GA_UNROLL for (int r = 0; r < 8; r++) {
          float q[4];
          load_four<float>(reinterpret_cast<const uint8_t *>(q_ + r * D + chunk * elements + e), q);
          GA_UNROLL for (int x = 0; x < 4; x++) sum[r] = fmaf(k[x], q[x], sum[r]);
        }
      }
    }
    // Half of the rows to the lane 16 away, then half of those left to the lane 8 away.
    float four[4];
    GA_UNROLL for (int r = 0; r < 4; r++) {
      const float given = shuffle_xor(part & 2 ? sum[r] : sum[r + 4], 16);
      four[r] = (part & 2 ? sum[r + 4] : sum[r]) + given;
    }
    GA_UNROLL for (int r = 0; r < 2; r++) {
      const float given = shuffle_xor(part & 1 ? four[r] : four[r + 2], 8);
      s[r] = (part & 1 ? four[r + 2] : four[r]) + given;
    }
  }

  // Leaves weights [8 keys][8 rows] in shared memory. seen: bit l of seen[h] says whether row 2 (l / 8) + h sees key l % 8.
  GA_DEVICE void softmax(const Ring<FmaRows> &ring, int stage, int row, int key, float (&s)[2], uint32_t (&seen)[2]) {
    const int lane = lane_index(), j = lane % 8;
    float shrink[2];
    bool grew = false;
    GA_UNROLL for (int h = 0; h < 2; h++) {
      const bool sees = key + j >= sees_[h].lo && key + j < sees_[h].hi;
      if constexpr (kGeometry.scaled) s[h] *= ring.key_scales(stage)[row + j];
      float most = s[h] = sees ? scores_(s[h]) : -INFINITY;
      GA_UNROLL for (int other = 1; other < 8; other *= 2) most = fmaxf(most, shuffle_xor(most, other));
      const float maximum = fmaxf(sums_[h].maximum, most), base = finite(maximum);
      grew = grew || maximum > sums_[h].maximum;
      shrink[h] = ex2(sums_[h].maximum - base);
      float weight = ex2(s[h] - base);
      sums_[h] = {maximum, sums_[h].sum * shrink[h] + weight};
      if constexpr (kGeometry.scaled) weight = sees ? weight * ring.value_scales(stage)[row + j] : 0.0f;
      weights_[j * 8 + lane / 8 * 2 + h] = weight;
      if (j == 0) weights_[64 + lane / 8 * 2 + h] = shrink[h];
      seen[h] = several_ ? ballot(sees) : 0;
    }
    grew = any(grew);
    sync_warp();
    if (!grew) return;
    GA_UNROLL for (int r = 0; r < 8; r++) {
      const float factor = weights_[64 + r];
      GA_UNROLL for (int c = 0; c < kColumns; c++) o_[r][c] *= factor;
    }
  }

  // some: rows see different keys, and a value that a row does not see must not touch it: 0 x NaN would.
  template <bool some>
  GA_DEVICE void add_values(const uint8_t *values, int row, const uint32_t (&seen)[2]) {
    GA_NO_UNROLL for (int j = 0; j < 8; j++) {
      float w[2][4];
      GA_UNROLL for (int h = 0; h < 2; h++)
          load_four<float>(reinterpret_cast<const uint8_t *>(weights_ + 8 * j + 4 * h), w[h]);
      GA_UNROLL for (int c = 0; c < kColumns; c += 4) {
        const int byte = column(c) * static_cast<int>(sizeof(K));
        float v[4];
        load_four<K>(values + swizzled_chunk(row + j, byte / 16, kGeometry.row_bytes) + byte % 16, v);
        GA_UNROLL for (int r = 0; r < 8; r++) {
          if (some && !(seen[r % 2] >> (r / 2 * 8 + j) & 1)) continue;
          GA_UNROLL for (int x = 0; x < 4; x++) o_[r][c + x] = fmaf(w[r / 4][r % 4], v[x], o_[r][c + x]);
        }
      }
    }
  }

  Scores scores_;
  bool several_;
  const float *q_;
  float *weights_;  // [8 keys][8 rows], then what the rows' results shrink by
  RowKeys sees_[2];
  Sums sums_[2];  // the sum: of this lane's keys alone
  float o_[8][kColumns];
};

}  // namespace ga::cuda::decode
