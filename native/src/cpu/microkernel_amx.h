// The microkernel on AMX: a tile of C [32 x 64] = A [32 x units] * B [units x 64] in bf16 pairs, from the layouts of microkernel.h.
//
// A tile register holds 16 rows of 16 units: rows of A as they lie, units of a packed panel as they lie. Four of the eight
// accumulate 32 x 32 of C, two hold A and two B: four products per four loads, which is all that the loads allow.
#pragma once

#include "cpu/decode_amx.h"

namespace ga::GA_ISA {

namespace {

struct AmxProduct {
  static constexpr int kPack = 2, kRowsAtOnce = 32, kUnitsAtOnce = 16, kQueryBlock = 256, kValueStep = 256;
  using ByUnit = Bf16Product;
  using Decode = AmxDecode;
  // C [rows x columns] of up to 32 x 64, with any distance between the units of B. Whole steps of units; whole tile registers of C.
  template <Finish finish>
  static void multiply(int64_t rows, int64_t columns, const int32_t *a, int64_t lda, const int32_t *b, int64_t ldb,
                       int64_t units, float *c, int64_t ldc, const int32_t *ahead);
  // C [1 x 64] += A [1 x keys] * B over keys [lo, hi) alone, to the bits of that row in a taller tile: others are masked in a copy of B.
  static void multiply_row(int64_t columns, const int32_t *a, const int32_t *b, int64_t lo, int64_t hi, float *c);

  // Tile registers have a shape only while this lives; afterwards no context switch saves them.
  class Registers {
   public:
    Registers() {
      struct alignas(64) {
        uint8_t palette = 1, start = 0, unused[14] = {};
        uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
        uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
      } shape;
      __asm__ volatile("" : : "r"(&shape) : "memory");  // the intrinsic says that it reads the first bytes alone
      _tile_loadconfig(&shape);
    }
    ~Registers() { _tile_release(); }
    Registers(const Registers &) = delete;
    Registers &operator=(const Registers &) = delete;
  };
};

}  // namespace

// rows, columns: tile registers of C, 1 or 2 each way.
template <Finish finish, int rows, int columns>
[[gnu::noinline]] static void amx_tile(const int32_t *a, int64_t lda, const int32_t *b, int64_t ldb, int64_t units,
                                       float *c, int64_t ldc, const int32_t *ahead) {
  constexpr bool accumulate = finish == kAccumulate || finish == kAccumulateMax;
  __asm__ volatile("" ::: "memory");  // the intrinsics do not say what they read
  const int64_t lda_bytes = lda * 4, ldb_bytes = ldb * 4, ldc_bytes = ldc * 4;
  float *below = c + 16 * ldc;
  if constexpr (accumulate) {
    _tile_loadd(0, c, ldc_bytes);
    if constexpr (columns == 2) _tile_loadd(1, c + 16, ldc_bytes);
    if constexpr (rows == 2) _tile_loadd(2, below, ldc_bytes);
    if constexpr (rows == 2 && columns == 2) _tile_loadd(3, below + 16, ldc_bytes);
  } else {
    _tile_zero(0);
    if constexpr (columns == 2) _tile_zero(1);
    if constexpr (rows == 2) _tile_zero(2);
    if constexpr (rows == 2 && columns == 2) _tile_zero(3);
  }
  for (int64_t k = 0; k < units; k += AmxProduct::kUnitsAtOnce) {
    _tile_loadd(4, a + k, lda_bytes);
    _tile_loadd(6, b, ldb_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (columns == 2) {
      _tile_loadd(7, b + 16, ldb_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (rows == 2) {
      _tile_loadd(5, a + 16 * lda + k, lda_bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (columns == 2) _tile_dpbf16ps(3, 5, 7);
    }
    b += AmxProduct::kUnitsAtOnce * ldb;
#pragma GCC unroll 16
    for (int i = 0; i < AmxProduct::kUnitsAtOnce / 2; i++) __builtin_prefetch(ahead + i * kLineUnits, 0, 2);
    ahead += AmxProduct::kUnitsAtOnce / 2 * kLineUnits;
  }
  _tile_stored(0, c, ldc_bytes);
  if constexpr (columns == 2) _tile_stored(1, c + 16, ldc_bytes);
  if constexpr (rows == 2) _tile_stored(2, below, ldc_bytes);
  if constexpr (rows == 2 && columns == 2) _tile_stored(3, below + 16, ldc_bytes);
}

template <Finish finish>
void AmxProduct::multiply(int64_t rows, int64_t columns, const int32_t *a, int64_t lda, const int32_t *b, int64_t ldb,
                          int64_t units, float *c, int64_t ldc, const int32_t *ahead) {
  for (int64_t j = 0; j < columns && j < kPanel; j += 32) {
    const bool both = columns - j > 16;
    if (rows > 16)
      both ? amx_tile<finish, 2, 2>(a, lda, b + j, ldb, units, c + j, ldc, ahead)
           : amx_tile<finish, 2, 1>(a, lda, b + j, ldb, units, c + j, ldc, ahead);
    else
      both ? amx_tile<finish, 1, 2>(a, lda, b + j, ldb, units, c + j, ldc, ahead)
           : amx_tile<finish, 1, 1>(a, lda, b + j, ldb, units, c + j, ldc, ahead);
    ahead += units / 2 * kLineUnits;
  }
}

// As the other multiply.
template <class Product, Finish finish>
  requires(Product::kUnitsAtOnce == AmxProduct::kUnitsAtOnce)
static inline void multiply(int rows, int64_t columns, const int32_t *a, int64_t lda, const int32_t *b, int64_t units,
                            float *c, int64_t ldc, const int32_t *ahead, float *row_max = nullptr) {
  AmxProduct::multiply<finish>(rows, columns, a, lda, b, kPanel, units, c, ldc, ahead);
  if constexpr (finish == kStoreMax || finish == kAccumulateMax)
    for (int i = 0; i < rows; i++) {
      const float *row = c + i * ldc;
      F m = load(row);
#pragma GCC unroll 8
      for (int j = 1; j < kPanelVectors; j++) m = max(m, load(row + j * kWidth));
      store(row_max + i * kWidth, m);
    }
}

void AmxProduct::multiply_row(int64_t columns, const int32_t *a, const int32_t *b, int64_t lo, int64_t hi, float *c) {
  constexpr int64_t keys = kPack * kUnitsAtOnce;
  alignas(64) int32_t seen[kUnitsAtOnce * kPanel];
  for (int64_t first = lo / keys * keys; first < hi; first += keys) {
    for (int64_t u = 0; u < kUnitsAtOnce; u++) {
      const int64_t key = first + kPack * u;
      const uint32_t even = lo <= key && key < hi ? 0xffffu : 0, odd = lo <= key + 1 && key + 1 < hi ? 0xffff0000u : 0;
      for (int64_t d = 0; d < kPanel; d++)
        seen[u * kPanel + d] = b[key / kPack * kPanel + d] & static_cast<int32_t>(even | odd);
    }
    // Rows of A and C that lie 0 apart: the row stands in every row of the registers.
    multiply<kAccumulate>(1, columns, a + first / kPack, 0, seen, kPanel, kUnitsAtOnce, c, 0, b);
  }
}

}  // namespace ga::GA_ISA
