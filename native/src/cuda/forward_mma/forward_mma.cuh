// Prefill of 16-bit types by mma.sync: a block of packed query rows against all keys that they see, softmax online.
//
//   ring:     K0 V0 K1 V1 ... G      copied ahead by cp.async, one barrier per tile
//   K tile:   S = Q K^T   →   softcap, mask   →   P = exp2(S - reference), row sums
//   V tile:   Y += P V                            P stays in registers: accumulators of S are fragments of P
//   at last:  normalize, gate, round, store       the gate is the ring's last tile: it is there when the last product is done
//
// Fragments (cuda/ptx/sm80.cuh): a warp's thread holds, of each 16 x 8 accumulator, two neighboring columns of rows lane / 4 and
// lane / 4 + 8. "Row n" of a thread, n = 2 * tile + half, is row 16 * tile + 8 * half + lane / 4 of its warp.
#pragma once

#include "cuda/forward_mma/place.cuh"
#include "cuda/forward_mma/scores.cuh"
#include "cuda/forward_mma/shared_tile.cuh"

namespace ga::cuda::prefill {

template <class T, int kDim>
class ForwardMma {
 public:
  using Tile = Tiling<kDim>;

  GA_DEVICE ForwardMma(const Problem &p, const Tasks &tasks) : p_(p) {
    const Place at = place_of(p, tasks, Tile::kQueryBlock, block_index());
    key_tiles_ = at.end_key > at.first_key ? (at.end_key - at.first_key + Tile::kKeyBlock - 1) / Tile::kKeyBlock : 0;
    if (thread_index() == 0) {
      *reinterpret_cast<Place *>(shared_memory() + Tile::kPlaceAt) = at;
      *reinterpret_cast<Scores *>(shared_memory() + Tile::kScoresAt) = scores_of(p);
    }
    for (int r = thread_index(); r < Tile::kQueryBlock; r += Tile::kThreads) {
      const int packed = at.row0 + r;
      positions()[r] = packed < at.of.queries * p.group ? packed / p.group : kNoQuery;
    }
    GA_UNROLL
    for (float &x : reference_) x = kLowest;
  }

  GA_DEVICE void run() {
    sync_threads();  // positions, place and scores
    if (rows() <= 0) return;
    load_queries();
    GA_UNROLL
    for (int t = 0; t < Tile::kSlots - 1; t++) prefetch(t);  // the first one's group holds the queries as well
    GA_NO_UNROLL
    for (int n = 0; n < key_tiles_; n++) step(n);
    finish();
  }

 private:
  static constexpr int kRowTiles = Tile::kRowTiles, kRows = 2 * kRowTiles, kColumnTiles = kDim / 8;
  static constexpr int kKeyTiles = Tile::kKeyBlock / 8;  // of 8 keys
  static constexpr float kLowest = -INFINITY;

  // ---- where things are

  GA_DEVICE int *positions() const { return reinterpret_cast<int *>(shared_memory() + Tile::kPositionsAt); }
  GA_DEVICE const Place &at() const { return *reinterpret_cast<const Place *>(shared_memory() + Tile::kPlaceAt); }
  GA_DEVICE int rows() const { return at().rows; }
  GA_DEVICE const Scores &scores() const { return *reinterpret_cast<const Scores *>(shared_memory() + Tile::kScoresAt); }
  GA_DEVICE const Sequence &of() const { return at().of; }
  GA_DEVICE static uint32_t queries() { return shared_address(shared_memory()); }
  GA_DEVICE uint32_t slot(int t) const { return queries() + Tile::kRingAt + t % Tile::kSlots * Tile::kSlotBytes; }
  GA_DEVICE int warp_row() const { return warp_index() * Tile::kWarpRows; }
  // Of row n of this thread, within the block.
  GA_DEVICE int block_row(int n) const { return warp_row() + 8 * n + lane_index() / 4; }

  // Row r of the block as a row of a tensor of queries.
  GA_DEVICE char *query_row(const View &view, int r) const {
    const int packed = at().row0 + r, position = packed / p_.group;
    return view.at(of().query_entry, of().query_row + position, at().head * p_.group + packed % p_.group);
  }
  GA_DEVICE int query_head(int r) const { return at().head * p_.group + (at().row0 + r) % p_.group; }

  GA_DEVICE bool gate_in_ring() const { return only_sigmoid(p_); }

  // ---- loading

  GA_DEVICE void load_queries() {
    load_rows<Tile, Tile::kQueryBlock>(queries(), p_.head_dim, rows_aligned(p_.q), p_.q.data, [&](int r) -> const char * {
      return r < rows() && positions()[r] >= 0 ? query_row(p_.q, r) : nullptr;
    });
  }

  // Tile t of the ring: keys and values in turn, then the gate. One group of copies, be it empty.
  GA_DEVICE void prefetch(int t) {
    const int g = t - 2 * key_tiles_;
    if (g < 0) {
      const View &view = t % 2 ? p_.v : p_.k;
      const int first = at().first_key + t / 2 * Tile::kKeyBlock;
      load_rows<Tile, Tile::kKeyBlock>(
          slot(t), t % 2 ? p_.head_dim_v : p_.head_dim, rows_aligned(view), view.data,
          [&](int r) { return first + r < at().end_key ? key_row(p_, of(), view, first + r, at().head) : nullptr; });
    } else if (gate_in_ring() && g < Tile::kGateTiles) {
      load_rows<Tile, Tile::kKeyBlock>(slot(t), p_.head_dim_v, rows_aligned(p_.gate), p_.gate.data,
                                       [&](int r) -> const char * {
                                         const int row = g * Tile::kKeyBlock + r;
                                         return row < rows() ? query_row(p_.gate, row) : nullptr;
                                       });
    }
    copy_async_commit();
  }

  // This thread's part of tile t has landed; after the barrier that follows everybody's has, and tile t - 1 was used by all.
  GA_DEVICE void wait_for_own_part() { copy_async_wait<Tile::kSlots - 2>(); }

  // ---- a block of keys

  GA_DEVICE void step(int n) {
    const int first = at().first_key + n * Tile::kKeyBlock;
    const bool masked = first < at().all_first || first + Tile::kKeyBlock > at().all_end;
    float s[kRowTiles][kKeyTiles][4];

    wait_for_own_part();
    if (n == 0 && scores().negate) negate_queries();
    sync_threads();
    prefetch(2 * n + Tile::kSlots - 1);
    multiply_keys(s, slot(2 * n));
    if (scores().capped) cap(s);
    if (masked) mask(s, first);
    weigh(s);
    uint32_t weights[kRowTiles][kKeyTiles / 2][4];  // s is as large as twice that, and copies begin next
    to_fragments(s, weights);

    wait_for_own_part();
    const uint32_t values = slot(2 * n + 1);
    if (masked) {
      // Weights of keys that a row does not see are 0, and 0 times NaN would reach it.
      const bool unsafe = sync_threads_or(holds_no_number(values));
      prefetch(2 * n + Tile::kSlots);
      if (unsafe) set_apart(values, first);
    } else {
      sync_threads();
      prefetch(2 * n + Tile::kSlots);
    }
    multiply_values(weights, values);
  }

  GA_DEVICE void negate_queries() {
    for_own_chunks<Tile, Tile::kQueryBlock>(queries(), [](uint32_t at, Words4 w) {
      GA_UNROLL
      for (uint32_t &x : w.x) x ^= 0x80008000U;
      store_shared(at, w);
    });
  }

  // s = Q K^T
  GA_DEVICE void multiply_keys(float (&s)[kRowTiles][kKeyTiles][4], uint32_t keys) {
    const int lane = lane_index();
    GA_UNROLL
    for (int m = 0; m < kRowTiles; m++) GA_UNROLL
    for (int j = 0; j < kKeyTiles; j++) GA_UNROLL
    for (float &x : s[m][j]) x = 0;
    GA_UNROLL
    for (int c = 0; c < kDim / 16; c++) {
      uint32_t q[kRowTiles][4];
      GA_UNROLL
      for (int m = 0; m < kRowTiles; m++)
        load_matrix(q[m], queries() + Tile::at(warp_row() + 16 * m + lane % 16, 2 * c + lane / 16));
      GA_UNROLL
      for (int j = 0; j < kKeyTiles / 2; j++) {
        uint32_t k[4];
        load_matrix(k, keys + Tile::at(16 * j + lane / 16 * 8 + lane % 8, 2 * c + lane / 8 % 2));
        GA_UNROLL
        for (int m = 0; m < kRowTiles; m++) {
          mma<T>(s[m][2 * j], q[m], k[0], k[1]);
          mma<T>(s[m][2 * j + 1], q[m], k[2], k[3]);
        }
      }
    }
  }

  GA_DEVICE void cap(float (&s)[kRowTiles][kKeyTiles][4]) {
    GA_UNROLL
    for (int m = 0; m < kRowTiles; m++) GA_UNROLL
    for (int j = 0; j < kKeyTiles; j++) GA_UNROLL
    for (float &x : s[m][j]) x = tanh_of<kCoarse>(x * scores().before);
  }

  // Which keys of the tile that begins with key first row n of this thread sees.
  GA_DEVICE Seen seen(int n, int first) const {
    return seen_keys(at(), positions()[block_row(n)], first, Tile::kKeyBlock);
  }

  GA_DEVICE void mask(float (&s)[kRowTiles][kKeyTiles][4], int first) {
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const Seen row = seen(n, first);
      GA_UNROLL
      for (int j = 0; j < kKeyTiles; j++) GA_UNROLL
      for (int e = 0; e < 2; e++) {
        const int key = 8 * j + lane_index() % 4 * 2 + e;
        float &x = s[n / 2][j][n % 2 * 2 + e];
        x = key >= row.lo && key < row.hi ? x : kLowest;
      }
    }
  }

  // Scores become weights, relative to a reference that follows the row's maximum; sums and Y with it.
  GA_DEVICE void weigh(float (&s)[kRowTiles][kKeyTiles][4]) {
    const float factor = scores().factor;
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      float maximum = kLowest;
      GA_UNROLL
      for (int j = 0; j < kKeyTiles; j++)
        maximum = fmaxf(maximum, fmaxf(s[n / 2][j][n % 2 * 2], s[n / 2][j][n % 2 * 2 + 1]));
      maximum = fmaxf(maximum, shuffle_xor(maximum, 1));
      maximum = fmaxf(maximum, shuffle_xor(maximum, 2)) * factor;
      if (maximum > reference_[n] + kRescaleAt) {  // always where it was -infinity
        const float shrink = exp2_estimate(reference_[n] - maximum);
        reference_[n] = maximum;
        sum_[n] *= shrink;
        GA_UNROLL
        for (int c = 0; c < kColumnTiles; c++) {
          y_[n / 2][c][n % 2 * 2] *= shrink;
          y_[n / 2][c][n % 2 * 2 + 1] *= shrink;
        }
      }
      const float minus = reference_[n] == kLowest ? 0 : -reference_[n];
      float sum = 0;
      GA_UNROLL
      for (int j = 0; j < kKeyTiles; j++) GA_UNROLL
      for (int e = 0; e < 2; e++) {
        float &x = s[n / 2][j][n % 2 * 2 + e];
        x = exp2_estimate(fmaf(x, factor, minus));
        sum += x;
      }
      sum_[n] += sum;
    }
  }

  GA_DEVICE void to_fragments(const float (&s)[kRowTiles][kKeyTiles][4],
                              uint32_t (&weights)[kRowTiles][kKeyTiles / 2][4]) {
    GA_UNROLL
    for (int m = 0; m < kRowTiles; m++) GA_UNROLL
    for (int j = 0; j < kKeyTiles / 2; j++) GA_UNROLL
    for (int i = 0; i < 4; i++)
      weights[m][j][i] = narrow_pair<T>(s[m][2 * j + i / 2][i % 2 * 2], s[m][2 * j + i / 2][i % 2 * 2 + 1]);
  }

  // y += P V
  GA_DEVICE void multiply_values(const uint32_t (&weights)[kRowTiles][kKeyTiles / 2][4], uint32_t values) {
    const int lane = lane_index();
    GA_UNROLL
    for (int j = 0; j < kKeyTiles / 2; j++) {
      GA_UNROLL
      for (int c = 0; c < kColumnTiles / 2; c++) {
        uint32_t v[4];
        load_matrix_transposed(v, values + Tile::at(16 * j + lane % 16, 2 * c + lane / 16));
        GA_UNROLL
        for (int m = 0; m < kRowTiles; m++) {
          mma<T>(y_[m][2 * c], weights[m][j], v[0], v[1]);
          mma<T>(y_[m][2 * c + 1], weights[m][j], v[2], v[3]);
        }
      }
    }
  }

  // ---- NaN and infinities among values that some rows see and others do not

  GA_DEVICE bool holds_no_number(uint32_t tile) const {
    bool found = false;
    for_own_chunks<Tile, Tile::kKeyBlock>(tile, [&](uint32_t, const Words4 &w) {
      GA_UNROLL
      for (uint32_t x : w.x) found |= low_is_no_number<T>(x) || high_is_no_number<T>(x);
    });
    return found;
  }

  // Adds them to those rows that see them, whatever their weights, and leaves zeros in the tile.
  GA_DEVICE void set_apart(uint32_t tile, int first) {
    uint32_t rows[kRows];  // lo, hi
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const Seen row = seen(n, first);
      rows[n] = static_cast<uint32_t>(row.lo | row.hi << 16);
    }
    GA_NO_UNROLL
    for (uint32_t key = 0; key < Tile::kKeyBlock; key++) {
      GA_UNROLL
      for (int c = 0; c < kColumnTiles; c++) {
        const uint32_t pair = word(tile + Tile::at(static_cast<int>(key), c) + lane_index() % 4 * 4);
        if (!low_is_no_number<T>(pair) && !high_is_no_number<T>(pair)) continue;
        GA_UNROLL
        for (int n = 0; n < kRows; n++) {
          if (key < (rows[n] & 0xffff) || key >= rows[n] >> 16) continue;
          if (low_is_no_number<T>(pair)) y_[n / 2][c][n % 2 * 2] += widen_low<T>(pair);
          if (high_is_no_number<T>(pair)) y_[n / 2][c][n % 2 * 2 + 1] += widen_high<T>(pair);
        }
      }
    }
    sync_threads();
    for_own_chunks<Tile, Tile::kKeyBlock>(tile, [](uint32_t at, Words4 w) {
      GA_UNROLL
      for (uint32_t &x : w.x) {
        if (low_is_no_number<T>(x)) x &= 0xffff0000U;
        if (high_is_no_number<T>(x)) x &= 0xffff;
      }
      store_shared(at, w);
    });
    sync_threads();
  }

  // ---- the end of the rows

  GA_DEVICE void finish() {
    const bool plain = p_.pre_gate == GA_PRE_NONE && !p_.round_before_gate &&
                       (!p_.gate.data || gate_in_ring() || (p_.gate.dim == 0 && p_.combination == GA_MULTIPLY));
    float factor[kRows];
    GA_UNROLL
    for (int n = 0; n < kRows; n++) factor[n] = end_row(n, plain);
    copy_async_wait<0>();
    sync_threads();  // the gate has landed, the ring is free
    if (plain)
      store_scaled(factor);
    else
      store_through_staging(factor);
  }

  // Writes the row's LSE; returns what its elements of y are multiplied by.
  GA_DEVICE float end_row(int n, bool plain) {
    const int r = block_row(n);
    float sum = sum_[n];
    sum += shuffle_xor(sum, 1);
    sum += shuffle_xor(sum, 2);
    const bool exists = r < rows();
    const int row = exists ? r : 0;  // any that exists, so that all lanes stay together
    const Denominator end = denominator(p_, query_head(row), sum, reference_[n]);
    if (exists && p_.lse.data && lane_index() % 4 == 0) *reinterpret_cast<float *>(query_row(p_.lse, row)) = end.lse;
    if (p_.pre_gate == GA_PRE_RMS_NORM) {
      float squares = 0;
      GA_UNROLL
      for (int c = 0; c < kColumnTiles; c++) GA_UNROLL
      for (int e = 0; e < 2; e++) {
        const float y = y_[n / 2][c][n % 2 * 2 + e] * end.keys;
        squares = fmaf(y, y, squares);
      }
      squares += shuffle_xor(squares, 1);
      squares += shuffle_xor(squares, 2);
      return norm_factor(p_, end, squares);
    }
    const float factor = row_factor(end);
    if (!plain || !p_.gate.data || gate_in_ring()) return factor;
    return factor * activate<kCoarse>(p_.activation, load_element(p_.gate, query_row(p_.gate, row), 0));  // head-wise
  }

  // y * factor, times sigmoid(gate) where that is in the ring, through the queries' memory so that 16 bytes go out at once.
  GA_DEVICE void store_scaled(const float (&factor)[kRows]) {
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      const int r = block_row(n);
      const uint32_t gate =
          slot(2 * key_tiles_ + r / Tile::kKeyBlock) + lane_index() % 4 * 4;  // and Tile::at(r % kKeyBlock, c)
      GA_UNROLL
      for (int c = 0; c < kColumnTiles; c++) {
        float low = y_[n / 2][c][n % 2 * 2] * factor[n], high = y_[n / 2][c][n % 2 * 2 + 1] * factor[n];
        if (gate_in_ring()) {
          const uint32_t pair = word(gate + Tile::at(r % Tile::kKeyBlock, c));
          low *= sigmoid<kCoarse>(widen_low<T>(pair));
          high *= sigmoid<kCoarse>(widen_high<T>(pair));
        }
        word(queries() + Tile::at(r, c) + lane_index() % 4 * 4) = narrow_pair<T>(low, high);
      }
    }
    sync_warp();  // the rows of a warp are its own
    const bool aligned = rows_aligned(p_.out);
    GA_NO_UNROLL
    for (int n = lane_index(); n < Tile::kWarpRows * Tile::kChunks; n += 32) {
      const int r = warp_row() + n / Tile::kChunks, chunk = n % Tile::kChunks;
      if (r >= rows() || 8 * chunk >= p_.head_dim_v) continue;
      const Words4 words = load_shared(queries() + Tile::at(r, chunk));
      char *to = query_row(p_.out, r) + 16 * chunk;
      if (aligned) {
        store_global(reinterpret_cast<Words4 *>(to), words);
      } else {
        GA_UNROLL
        for (int i = 0; i < 8; i++)
          reinterpret_cast<uint16_t *>(to)[i] = static_cast<uint16_t>(words.x[i / 2] >> i % 2 * 16);
      }
    }
  }

  // Every other end of a row: y in f32 through shared memory, a row over a warp.
  GA_DEVICE void store_through_staging(const float (&factor)[kRows]) {
    float *staging = reinterpret_cast<float *>(shared_memory());
    GA_UNROLL
    for (int n = 0; n < kRows; n++) {
      float *row = staging + block_row(n) * Tile::kStagingStride;
      GA_UNROLL
      for (int c = 0; c < kColumnTiles; c++) {
        row[8 * c + lane_index() % 4 * 2] = y_[n / 2][c][n % 2 * 2];
        row[8 * c + lane_index() % 4 * 2 + 1] = y_[n / 2][c][n % 2 * 2 + 1];
      }
      if (lane_index() % 4 == 0) row[kDim] = factor[n];
    }
    sync_warp();
    GA_NO_UNROLL
    for (int r = warp_row(); r < warp_row() + Tile::kWarpRows && r < rows(); r++) {
      const float *row = staging + r * Tile::kStagingStride;
      finish_row<T>(p_, of().query_entry, of().query_row + (at().row0 + r) / p_.group, query_head(r), row, row[kDim],
                    lane_index(), 32);
    }
  }

  GA_DEVICE uint32_t &word(uint32_t address) const {
    return *reinterpret_cast<uint32_t *>(shared_memory() + (address - queries()));
  }

  const Problem &p_;
  int key_tiles_;
  float y_[kRowTiles][kColumnTiles][4] = {};
  float reference_[kRows], sum_[kRows] = {};
};

template <class T, int kDim>
GA_KERNEL(Tiling<kDim>::kThreads, 2)
forward_mma(GA_PARAMETER Problem p, GA_PARAMETER Tasks tasks) {
  ForwardMma<T, kDim>(p, tasks).run();
}

}  // namespace ga::cuda::prefill
