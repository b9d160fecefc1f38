// P and dS of a tile of rows by a panel of keys, from their products:
//
//   S = Q K^T, dP = dY V^T   →   P = exp2(S - L), dS = P (dP - Delta)
#pragma once

#include "cpu/backward_queries.h"
#include "cpu/softcap.h"

namespace ga::GA_ISA {
namespace {

template <class Product, class T>
class BackwardWeights {
 public:
  using Queries = BackwardQueries<Product, T>;
  using Tile = typename Queries::Tile;
  static constexpr int64_t kPack = Queries::kPack, kTile = Queries::kTile;
  static constexpr bool kBeside = kWeighsBeside && Product::kUnitsAtOnce == 1;

  struct Scored {
    Tile t;
    int64_t panel, columns;  // its first key in the block; so many from there on are seen by some row
    bool all;                // every row sees the whole panel
    int turn;                // whose memory it uses
  };
  class Steps;

  BackwardWeights(const Softcap &softcap, const Queries &rows) : softcap_(softcap), rows_(rows) {}
  void take(Scratch &scratch, int64_t keys);
  // dP is not wanted, and taken as 0.
  void without_dp() { fill_zero(tiles_, 2 * kTiles * kTile * kPanel); }

  // S and dP of the tile, [tile][panel] each.
  float *scores_of(const Scored &s) const { return tiles_ + 2 * s.turn * kTile * kPanel; }
  float *dp_of(const Scored &s) const { return scores_of(s) + kTile * kPanel; }
  float *spare() const { return tiles_; }  // such a tile, between two blocks
  int turn_after(int turn) const { return turn + 1 < kTiles ? turn + 1 : 0; }

  void weigh(const Scored &s) const;
  // Columns from `at` on of the panel.
  void clear(const Tile &t, int64_t panel, int64_t at) const;
  // Whether Steps will do.
  bool in_steps(const Scored &s) const { return s.all && s.t.rows == kTile && !softcap_.capped(); }

  int32_t *p, *ds;   // [rows / pack][ld]
  int32_t *ds_rows;  // [rows][ld_rows], pairs of keys; for f32 the same as ds
  int64_t ld, ld_rows;

 private:
  static constexpr int kTiles = kBeside ? kBackwardTiles : 1;
  static constexpr int64_t kColumns = kPack * kWidth;  // of kPack rows, what is weighed at once

  struct Place {
    const float *scores, *lse, *delta;
    int32_t *p, *ds, *ds_rows;

    GA_ALWAYS_INLINE void move(int64_t columns) {
      scores += columns;
      p += columns;
      ds += columns;
      ds_rows += columns / kPack;
    }
  };
  // Where the rows after those lie, in the same columns.
  GA_ALWAYS_INLINE void next_rows(Place &at) const {
    at.scores += kPack * kPanel;
    at.lse += kPack;
    at.delta += kPack;
    at.p += ld;
    at.ds += ld;
    at.ds_rows += kPack * ld_rows;
  }
  Place place_of(const Scored &s, int64_t row, int64_t column) const {
    const int64_t in_tile = row - s.t.row, key = s.panel + column, to = row / kPack * ld + key;
    return {scores_of(s) + in_tile * kPanel + column, rows_.lse + row, rows_.delta + row, p + to, ds + to,
            ds_rows + row * ld_rows + key / kPack};
  }
  template <bool capped>
  void weigh_vector(const float *scores, float lse, float delta, F &p, F &ds) const;
  template <bool masked, bool capped>
  void weigh_at(const Place &at, const KeyRange *sees, int64_t key) const;
  template <bool masked, bool capped>
  void weigh_tile(const Scored &s) const;

  const Softcap softcap_;
  const Queries &rows_;
  float *tiles_;
};

template <class Product, class T>
void BackwardWeights<Product, T>::take(Scratch &scratch, int64_t keys) {
  const int64_t rows = rows_.capacity + 8;
  ld = keys + 16;  // not a power of two: rows of a column would share few sets of the cache
  ld_rows = kPack == 2 ? keys / 2 + 16 : ld;
  p = scratch.take<int32_t>(rows / kPack * ld);
  ds = scratch.take<int32_t>(rows / kPack * ld);
  ds_rows = kPack == 2 ? scratch.take<int32_t>(rows * ld_rows) : ds;
  tiles_ = scratch.take<float>(2 * kTiles * kTile * kPanel);
}

template <class Product, class T>
template <bool capped>
GA_ALWAYS_INLINE void BackwardWeights<Product, T>::weigh_vector(const float *scores, float lse, float delta, F &weight,
                                                                F &gradient) const {
  F s = load(scores);
  F slope = zero();
  if constexpr (capped) {
    s = softcap_.apply(s);
    slope = fnma(s, s, set(1.0f));
  }
  // In f32 the difference is formed before it goes to powers of two: L may be large, and would be rounded once more. The score is
  // rounded as it was in L where one key had all the weight.
  weight = kPack == 2 ? exp2<kCoarse>(fma(s, set(softcap_.factor()), set(-lse)))
                      : exp_negative_to_zero(sub(set(lse), mul(s, set(softcap_.natural_factor()))));
  gradient = mul(weight, sub(load(scores + kTile * kPanel), set(delta)));
  if constexpr (capped) gradient = mul(gradient, slope);
}

// sees: of the rows, where any of them may not see a key from `key` on.
template <class Product, class T>
template <bool masked, bool capped>
GA_ALWAYS_INLINE void BackwardWeights<Product, T>::weigh_at(const Place &at, const KeyRange *sees, int64_t key) const {
  F weight[kPack * kPack], gradient[kPack * kPack];
#pragma GCC unroll 4
  for (int i = 0; i < kPack * kPack; i++) {
    const int64_t row = i / kPack, column = i % kPack * kWidth;
    weigh_vector<capped>(at.scores + row * kPanel + column, at.lse[row], at.delta[row], weight[i], gradient[i]);
    if constexpr (masked) {
      const int lo = static_cast<int>(sees[row].lo - key - column), hi = static_cast<int>(sees[row].hi - key - column);
      weight[i] = keep_range(weight[i], lo, hi, zero());
      gradient[i] = keep_range(gradient[i], lo, hi, zero());
    }
  }
  if constexpr (kPack == 1) {
    store_units(at.p, as_units(weight[0]));
    store_units(at.ds, as_units(gradient[0]));
  }
#ifdef GA_NATIVE_BF16
  if constexpr (kPack == 2) {  // two rows, two vectors: pairs of keys as they come, pairs of rows interleaved
    const U even = pack_pairs(gradient[0], gradient[1]), odd = pack_pairs(gradient[2], gradient[3]);
    store_units(at.ds_rows, even);
    store_units(at.ds_rows + ld_rows, odd);
    U low, high;
    interleave(even, odd, low, high);
    store_units(at.ds, low);
    store_units(at.ds + kWidth, high);
    interleave(pack_pairs(weight[0], weight[1]), pack_pairs(weight[2], weight[3]), low, high);
    store_units(at.p, low);
    store_units(at.p + kWidth, high);
  }
#endif
}

template <class Product, class T>
template <bool masked, bool capped>
void BackwardWeights<Product, T>::weigh_tile(const Scored &s) const {
  int64_t column = 0;
  for (; column < s.columns; column += kColumns) {
    Place at = place_of(s, s.t.row, column);
    for (int64_t row = s.t.row; row < s.t.row + s.t.rows; row += kPack, next_rows(at))
      weigh_at<masked, capped>(at, rows_.sees + row, s.panel + column);
  }
  if (column < kPanel) clear(s.t, s.panel, column);
}

template <class Product, class T>
void BackwardWeights<Product, T>::weigh(const Scored &s) const {
  GA_STAGE(kSoftmax);
  if (softcap_.capped())
    s.all ? weigh_tile<false, true>(s) : weigh_tile<true, true>(s);
  else
    s.all ? weigh_tile<false, false>(s) : weigh_tile<true, false>(s);
}

template <class Product, class T>
void BackwardWeights<Product, T>::clear(const Tile &t, int64_t panel, int64_t at) const {
  for (int64_t row = t.row; row < t.row + t.rows; row += kPack)
    for (int64_t j = at; j < kPanel; j += kWidth) {
      const int64_t to = row / kPack * ld + panel + j;
      store_units(p + to, zero_units());
      store_units(ds + to, zero_units());
    }
  if (kPack == 1) return;
  for (int64_t row = t.row; row < t.row + t.rows; row++)
    for (int64_t j = at; j < kPanel; j += kPack * kWidth)
      store_units(ds_rows + row * ld_rows + (panel + j) / 2, zero_units());
}

// A whole tile, a part of it with each step: beside a product.
template <class Product, class T>
class BackwardWeights<Product, T>::Steps {
 public:
  static constexpr int kPerRow = kPanelVectors / kPack, kCount = kTile / kPack * kPerRow;

  Steps(const BackwardWeights &of, const Scored &s) : of_(of), at_(of.place_of(s, s.t.row, 0)) {}
  GA_ALWAYS_INLINE bool more() const { return left_ > 0; }
  GA_ALWAYS_INLINE void step() {
    of_.template weigh_at<false, false>(at_, nullptr, 0);
    at_.move(kColumns);
    if (--left_ % kPerRow == 0) {
      at_.move(-kPanel);
      of_.next_rows(at_);
    }
  }

 private:
  const BackwardWeights &of_;
  Place at_;
  int left_ = kCount;
};

}  // namespace
}  // namespace ga::GA_ISA
