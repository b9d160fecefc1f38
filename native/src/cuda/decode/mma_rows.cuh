// 16 query rows of a warp on tensor cores: 16 keys at once, scores and weights in registers from one product to the next.
//
// Rows beyond the last one are zero: a group of one query head costs what sixteen cost, and memory is slower than either. With g
// = lane / 4 and t = lane % 4 a thread holds rows g and g + 8; of 16 keys 2 t, 2 t + 1, 2 t + 8, 2 t + 9; of 8 columns 2 t, 2 t + 1.
#pragma once

#include "cuda/decode/ring.cuh"
#include "cuda/decode/scores.cuh"

namespace ga::cuda::decode {

template <class T, int D>
class MmaRows {
 public:
  using Key = T;
  static constexpr Geometry kGeometry = mma_geometry(D);
  static constexpr bool kTensorCores = true;

  // All threads: the block's rows of Q into shared memory, zeros where there are none.
  static GA_DEVICE void load_queries(const Arguments &a, const Place &at, const Layout &l) {
    const Problem &p = a.p;
    constexpr int chunks = D / 8;
    GA_NO_UNROLL for (int i = thread_index(); i < a.query_rows * chunks; i += kThreads) {
      const int row = i / chunks, chunk = i % chunks;
      const int64_t query = at.query(p, row);
      Words4 w{};
      if (row < at.rows && query < at.of.queries && chunk * 8 < p.head_dim) {
        const T *q =
            reinterpret_cast<const T *>(p.q.at(at.of.query_entry, at.of.query_row + query, at.head(p, row))) + chunk * 8;
        GA_UNROLL for (int e = 0; e < 4; e++) w.x[e] = q[2 * e].bits | static_cast<uint32_t>(q[2 * e + 1].bits) << 16;
      }
      store_shared(l.queries + swizzled_chunk(row, chunk, 2 * D), w);
    }
  }

  // tile_row: the warp's first row within the block.
  GA_DEVICE MmaRows(const Arguments &a, const Place &at, const Layout &l, int tile_row)
      : scores_(a.p), several_(at.several), q_(static_cast<uint32_t>(l.queries)), tile_row_(tile_row) {
    GA_UNROLL for (int h = 0; h < 2; h++) {
      sees_[h] = keys_of_row(a.p, at, tile_row + lane_index() / 4 + 8 * h);
      sums_[h] = {-INFINITY, 0.0f};
    }
    GA_UNROLL for (int n = 0; n < D / 8; n++) GA_UNROLL for (int i = 0; i < 4; i++) o_[n][i] = 0.0f;
  }

  // Keys [key, key + 16) of the block's, which are rows [row, row + 16) of a tile.
  GA_DEVICE void slice(const Ring<MmaRows> &ring, int stage, int row, int key) {
    float s[2][4];  // [8 keys][row g, row g + 8, two keys each]
    products(ring.keys(stage), row, s);
    uint32_t weights[4];
    const bool partly = softmax(key, s, weights);
    // A value that a row does not see must not touch it, and 0 x NaN would.
    if (several_ && any(partly) && any(not_finite(ring.values(stage), row)))
      return add_seen_values(ring.values(stage), row, key, weights);
    const int lane = lane_index();
    const int at = row + lane % 8 + lane / 8 % 2 * 8;
    GA_UNROLL for (int n = 0; n < D / 16; n++) {
      uint32_t v[4];
      load_matrix_transposed(v, ring.values(stage) + swizzled_chunk(at, 2 * n + lane / 16, 2 * D));
      mma<T>(o_[2 * n], weights, v[0], v[1]);
      mma<T>(o_[2 * n + 1], weights, v[2], v[3]);
    }
  }

  // results: [row][D] of this warp's rows.
  GA_DEVICE void store(float *results, Sums *sums) {
    const int g = lane_index() / 4, t = lane_index() % 4;
    GA_UNROLL for (int h = 0; h < 2; h++) {
      float sum = sums_[h].sum;
      sum += shuffle_xor(sum, 1);
      sum += shuffle_xor(sum, 2);
      if (t == 0) sums[g + 8 * h] = {sums_[h].maximum, sum};
      GA_UNROLL for (int n = 0; n < D / 8; n++) {
        results[(g + 8 * h) * D + 8 * n + 2 * t] = o_[n][2 * h];
        results[(g + 8 * h) * D + 8 * n + 2 * t + 1] = o_[n][2 * h + 1];
      }
    }
  }

 private:
  static constexpr float kShift = sizeof(T) == 2 && std::is_same_v<T, f16> ? 12.0f : 0.0f;

  // Two chains for each 8 keys: one alone would wait for itself most of the time.
  GA_DEVICE void products(uint32_t keys, int row, float (&s)[2][4]) const {
    float even[2][4] = {}, odd[2][4] = {};
    const int lane = lane_index();
    const int q_row = tile_row_ + lane % 16, k_row = row + lane % 8 + lane / 16 * 8;
    GA_UNROLL for (int d = 0; d < D / 16; d++) {
      uint32_t q[4], k[4];
      load_matrix(q, q_ + swizzled_chunk(q_row, 2 * d + lane / 16, 2 * D));
      load_matrix(k, keys + swizzled_chunk(k_row, 2 * d + lane / 8 % 2, 2 * D));
      float(&acc)[2][4] = d % 2 == 0 ? even : odd;
      mma<T>(acc[0], q, k[0], k[1]);
      mma<T>(acc[1], q, k[2], k[3]);
    }
    GA_UNROLL for (int n = 0; n < 2; n++) GA_UNROLL for (int i = 0; i < 4; i++) s[n][i] = even[n][i] + odd[n][i];
  }

  static GA_DEVICE bool sees(const RowKeys &r, int key) { return key >= r.lo && key < r.hi; }

  // Weights as the left operand of the next product. True where a row with keys does not see one of these.
  GA_DEVICE bool softmax(int key, float (&s)[2][4], uint32_t (&weights)[4]) {
    const int first = key + lane_index() % 4 * 2;
    float shrink[2];
    bool partly = false, grew = false;
    GA_UNROLL for (int h = 0; h < 2; h++) {
      float most = -INFINITY;
      GA_UNROLL for (int n = 0; n < 2; n++) GA_UNROLL for (int i = 0; i < 2; i++) {
        float &x = s[n][2 * h + i];
        const bool seen = sees(sees_[h], first + 8 * n + i);
        partly = partly || (!seen && sees_[h].lo < sees_[h].hi);
        x = seen ? scores_(x) : -INFINITY;
        most = fmaxf(most, x);
      }
      most = fmaxf(most, shuffle_xor(most, 1));
      most = fmaxf(most, shuffle_xor(most, 2)) - kShift;
      const float maximum = fmaxf(sums_[h].maximum, most), base = finite(maximum);
      grew = grew || maximum > sums_[h].maximum;
      shrink[h] = ex2(sums_[h].maximum - base);
      float sum = 0.0f;
      GA_UNROLL for (int n = 0; n < 2; n++) GA_UNROLL for (int i = 0; i < 2; i++) {
        float &x = s[n][2 * h + i];
        x = ex2(x - base);
        sum += x;
      }
      sums_[h] = {maximum, sums_[h].sum * shrink[h] + sum};
    }
    GA_UNROLL for (int n = 0; n < 2; n++) {
      weights[2 * n] = pack<T>(s[n][0], s[n][1]);
      weights[2 * n + 1] = pack<T>(s[n][2], s[n][3]);
    }
    if (any(grew)) {
      GA_UNROLL for (int n = 0; n < D / 8; n++) GA_UNROLL for (int i = 0; i < 4; i++) o_[n][i] *= shrink[i / 2];
    }
    return partly;
  }

  // Whether one of this lane's share of 16 values is NaN or infinite.
  GA_DEVICE bool not_finite(uint32_t values, int row) const {
    constexpr uint32_t exponent = std::is_same_v<T, bf16> ? 0x7f80 : 0x7c00;
    bool found = false;
    GA_NO_UNROLL for (int c = lane_index() % 2; c < D / 8; c += 2) {
      const Words4 w = load_shared(values + swizzled_chunk(row + lane_index() / 2, c, 2 * D));
      GA_UNROLL for (int e = 0; e < 4; e++) found =
          found || (w.x[e] & exponent) == exponent || (w.x[e] >> 16 & exponent) == exponent;
    }
    return found;
  }

  // The second product, key by key, without those that a row does not see.
  GA_DEVICE void add_seen_values(uint32_t values, int row, int key, const uint32_t (&weights)[4]) {
    const int t = lane_index() % 4;
    GA_NO_UNROLL for (int j = 0; j < 16; j++) {
      const int holder =
          (lane_index() & ~3) + j % 8 / 2;  // its registers: weights of rows g, g + 8 for keys of either half
      const uint32_t low = shuffle(j < 8 ? weights[0] : weights[2], holder);
      const uint32_t high = shuffle(j < 8 ? weights[1] : weights[3], holder);
      const bool seen[2] = {sees(sees_[0], key + j), sees(sees_[1], key + j)};
      const Pair a = unpack<T>(low), b = unpack<T>(high);
      const float w[2] = {j % 2 == 0 ? a.lo : a.hi, j % 2 == 0 ? b.lo : b.hi};
      GA_UNROLL for (int n = 0; n < D / 8; n++) {
        const uint32_t at = values + swizzled_chunk(row + j, n, 2 * D) + 4 * t;
        const Pair v = unpack<T>(*reinterpret_cast<const uint32_t *>(shared_memory() + at));
        GA_UNROLL for (int h = 0; h < 2; h++) {
          if (!seen[h]) continue;
          o_[n][2 * h] += w[h] * v.lo;
          o_[n][2 * h + 1] += w[h] * v.hi;
        }
      }
    }
  }

  Scores scores_;
  bool several_;
  uint32_t q_;
  int tile_row_;
  RowKeys sees_[2];
  Sums sums_[2];  // the sum: of this lane's keys alone
  float o_[D / 8][4];
};

}  // namespace ga::cuda::decode
