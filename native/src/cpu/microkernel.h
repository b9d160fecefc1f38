// The one product loop of prefill: a tile of C [6 x 4 vectors] = A [6 x units] * B [units x 4 vectors].
//
// Both products of attention (Q K^T and P V) and both number formats run through it. A unit is 32 bits: one f32,
// or a pair of bf16 that vdpbf16ps multiplies and adds at once, so bf16 is the same loop at twice the FLOP. A is
// broadcast from memory, B comes from a packed panel (pack.h), C stays in registers for the whole loop. Since A is broadcast, it may
// as well lie transposed: the backward pass multiplies with P and dS both ways and transposes neither.
#pragma once

#include <type_traits>

#include "core/number.h"

namespace ga::GA_ISA {

constexpr int kTileRows = 6;
constexpr int kPanel = kPanelVectors * kWidth;  // columns of a packed panel
constexpr int kLineUnits = 16;                  // units of a cache line

// Rows of a task of prefill, at most. The more, the more often a panel is used that came from a farther cache; but their weights should stay in
// the second, which has 1 MiB where vectors have 512 bits, and often half of that elsewhere.
constexpr int kRowsPerTask = kWidth == 16 ? 258 : 198;

// Hands out the memory of the panels that come next, tile by tile: the microkernel fetches it while it multiplies.
class Ahead {
 public:
  Ahead(const int32_t *from, int64_t units) : at_(from), end_(from + units * kPanel) {}
  const int32_t *take(int64_t lines) {
    const int32_t *at = at_;
    if (at_ < end_) at_ += lines * kLineUnits;
    return at;
  }

 private:
  const int32_t *at_, *end_;
};

// What a product does without.
struct Nothing {
  template <class... Any>
  explicit Nothing(Any &&...) {}
};

// A product says how it is cut: values of the inner dimension per unit, rows of a tile, units that are multiplied at once.
struct F32Product {
  static constexpr int kPack = 1, kRowsAtOnce = kTileRows, kUnitsAtOnce = 1, kQueryBlock = kRowsPerTask, kValueStep = 128;
  using ByUnit = F32Product;  // the one that takes any number of units
  using Decode = Nothing;     // what does the products of decode where they are not done one by one
  using Registers = Nothing;  // what a task holds while it multiplies
  GA_INLINE F mac(F c, U a, U b) { return fma(as_floats(a), as_floats(b), c); }
};

#ifdef GA_NATIVE_BF16
struct Bf16Product {
  static constexpr int kPack = 2, kRowsAtOnce = kTileRows, kUnitsAtOnce = 1, kQueryBlock = kRowsPerTask, kValueStep = 128;
  using ByUnit = Bf16Product;
  using Decode = Nothing;
  using Registers = Nothing;
  GA_INLINE F mac(F c, U a, U b) { return dot_pairs(c, a, b); }
};
#endif

enum Finish {
  kStore,          // C = A B
  kStoreMax,       // C = A B, and row_max [6 x vector] = the highest of each row's vectors
  kAccumulate,     // C += A B, added at the end: the error grows with the number of tiles, not of products
  kAccumulateMax,  // both
  kJoin,           // C += A B + half, half being [6 x panel]
  kJoinMax,
};

enum Operand {
  kRows,    // A[i][k] at i * lda + k
  kColumns  // A[i][k] at k * lda + i
};

// What else is done while a product is under way, a step with each of its first units: here nothing.
struct Idle {
  GA_ALWAYS_INLINE static bool more() { return false; }
  GA_ALWAYS_INLINE static void step() {}
};

// Units of A and B are `step` apart. With each, one cache line is fetched from `ahead` on, into the second cache: panels come from a
// farther one, and the tile that first met a new panel would wait for most of it.
template <class Product, Finish finish, Operand operand, int rows, int vectors, class Beside = Idle>
[[gnu::noinline]] static void tile(const int32_t *a, int64_t lda, const int32_t *b, int64_t units, float *c, int64_t ldc,
                                   float *row_max, const int32_t *ahead, int64_t step, const float *half,
                                   Beside beside = {}) {
  F acc[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) acc[i][j] = zero();
  const auto add_unit = [&]() __attribute__((always_inline)) {
    U column[vectors];
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) column[j] = load_units(b + j * kWidth);
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++) {
      const U broadcast = broadcast_unit(operand == kRows ? a + i * lda : a + i);
#pragma GCC unroll 8
      for (int j = 0; j < vectors; j++) acc[i][j] = Product::mac(acc[i][j], broadcast, column[j]);
    }
    a += operand == kRows ? step : step * lda;
    b += step * kPanel;
    __builtin_prefetch(ahead, 0, 2);
    ahead += kLineUnits;
  };
  int64_t n = 0;
  for (; beside.more(); n++) {
    add_unit();
    beside.step();
  }
  for (; n < units; n++) add_unit();
#pragma GCC unroll 8
  for (int i = 0; i < rows; i++) {
#pragma GCC unroll 8
    for (int j = 0; j < vectors; j++) {
      float *to = c + i * ldc + j * kWidth;
      if constexpr (finish == kJoin || finish == kJoinMax)
        acc[i][j] = add(acc[i][j], load(half + i * kPanel + j * kWidth));
      if constexpr (finish != kStore && finish != kStoreMax) acc[i][j] = add(acc[i][j], load(to));
      store(to, acc[i][j]);
    }
    if constexpr (finish == kStoreMax || finish == kAccumulateMax || finish == kJoinMax) {
      F m = acc[i][0];
#pragma GCC unroll 8
      for (int j = 1; j < vectors; j++) m = max(m, acc[i][j]);
      store(row_max + i * kWidth, m);
    }
  }
}

template <class Product, Finish finish, Operand operand, int vectors>
static inline void tile_rows(int rows, const int32_t *a, int64_t lda, const int32_t *b, int64_t units, float *c,
                             int64_t ldc, float *row_max, const int32_t *ahead, int64_t step, const float *half) {
  switch (rows) {
    case 6: return tile<Product, finish, operand, 6, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
    case 5: return tile<Product, finish, operand, 5, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
    case 4: return tile<Product, finish, operand, 4, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
    case 3: return tile<Product, finish, operand, 3, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
    case 2: return tile<Product, finish, operand, 2, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
    default: return tile<Product, finish, operand, 1, vectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half);
  }
}

// columns: how many of the panel's columns are wanted; whole vectors are computed. Only a whole tile of enough units does
// something beside.
template <class Product, Finish finish, Operand operand = kRows, class Beside = Idle>
  requires(Product::kUnitsAtOnce == 1)
static inline void multiply(int rows, int64_t columns, const int32_t *a, int64_t lda, const int32_t *b, int64_t units,
                            float *c, int64_t ldc, const int32_t *ahead, float *row_max = nullptr, int64_t step = 1,
                            const float *half = nullptr, Beside beside = {}) {
  if constexpr (!std::is_same_v<Beside, Idle>)
    return tile<Product, finish, operand, kTileRows, kPanelVectors>(a, lda, b, units, c, ldc, row_max, ahead, step, half,
                                                                    beside);
  const int vectors = columns >= kPanel ? kPanelVectors : static_cast<int>(ceil_div(columns, kWidth));
  if (vectors == kPanelVectors)
    return tile_rows<Product, finish, operand, kPanelVectors>(rows, a, lda, b, units, c, ldc, row_max, ahead, step, half);
  if constexpr (kPanelVectors > 3)
    if (vectors == 3)
      return tile_rows<Product, finish, operand, 3>(rows, a, lda, b, units, c, ldc, row_max, ahead, step, half);
  if constexpr (kPanelVectors > 2)
    if (vectors == 2)
      return tile_rows<Product, finish, operand, 2>(rows, a, lda, b, units, c, ldc, row_max, ahead, step, half);
  return tile_rows<Product, finish, operand, 1>(rows, a, lda, b, units, c, ldc, row_max, ahead, step, half);
}

}  // namespace ga::GA_ISA
