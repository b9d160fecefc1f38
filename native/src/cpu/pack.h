// Packs one panel of keys and values (kPanel keys of one head) into the layouts that the microkernel reads.
//
//   keys    [key_units][kPanel]                    unit u of key j at u * kPanel + j; missing keys are 0
//   values  [value panel][value_units][kPanel]     a unit holds one key, or two adjacent ones, of a column
//   scales  [kPanel] of keys, of values            of an int8 cache, whose whole numbers are packed as they are
//
// Reading Q, K, V happens here alone in prefill, so strides and the element type are dealt with here alone.
#pragma once

#include "core/mask.h"
#include "core/schedule.h"
#include "core/stage.h"
#include "cpu/microkernel.h"

namespace ga::GA_ISA {

// Hands out scratch memory in the order and sizes that make_schedule summed up, each piece on its own cache line.
class Scratch {
 public:
  explicit Scratch(char *at) : at_(at) {}
  template <class E>
  E *take(int64_t count) {
    E *piece = reinterpret_cast<E *>(at_);
    at_ += round_up(count * static_cast<int64_t>(sizeof(E)), 64);
    return piece;
  }

 private:
  char *at_;
};

// n units (at most a vector) of a row, from element d on.
template <class Product, class T>
GA_INLINE U load_row_units(const T *row, int n) {
#ifdef GA_NATIVE_BF16
  if constexpr (Product::kPack == 2 && sizeof(T) == 1) {  // whole numbers up to 127 are exact in bf16
    const int low = 2 * n < kWidth ? 2 * n : kWidth, high = 2 * n - low;
    return pack_pairs(low < kWidth ? load(row, low) : load(row),
                      high < kWidth ? load(row + kWidth, high) : load(row + kWidth));
  }
#endif
  if constexpr (Product::kPack == 2)
    return n < kWidth ? load_units(row, n) : load_units(row);
  else
    return as_units(n < kWidth ? load(row, n) : load(row));
}

// A query row. Negated where the scale is negative, so that the largest score is the largest product.
template <class Product, class T>
GA_INLINE void pack_row(const T *row, int64_t units, int32_t *to, bool negate) {
  for (int64_t u = 0; u < units; u += kWidth) {
    const int n = units - u < kWidth ? static_cast<int>(units - u) : kWidth;
    const U x = load_row_units<Product>(row + u * Product::kPack, n);
    if (n < kWidth)
      store_units(to + u, x, n);
    else
      store_units(to + u, x);
  }
  if (negate)
    for (int64_t u = 0; u < units; u++) to[u] ^= static_cast<int32_t>(Product::kPack == 2 ? 0x80008000u : 0x80000000u);
}

// 16 x 16 units, from rows lda apart to rows ldb apart.
GA_INLINE void transpose_block(const int32_t *a, int64_t lda, int32_t *b, int64_t ldb) {
  U r[kWidth];
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; i++) r[i] = load_units(a + i * lda);
  transpose(r);
#pragma GCC unroll 16
  for (int i = 0; i < kWidth; i++) store_units(b + i * ldb, r[i]);
}

// Fills up the last step of units, where the microkernel takes several at once.
GA_INLINE void zero_from(int32_t *at, int64_t units, int64_t end) {
  for (int64_t u = units; u < end; u++) at[u] = 0;
}

template <class Product, class T>
static void pack_key_panel(const char *const *keys, int64_t count, int64_t units, int32_t *panel) {
  for (int64_t j = 0; j < kPanel; j += kWidth)
    for (int64_t u = 0; u < units; u += kWidth) {
      const int n = units - u < kWidth ? static_cast<int>(units - u) : kWidth;
      U r[kWidth];
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; i++) {
        const T *row = reinterpret_cast<const T *>(keys[j + i]);
        r[i] = j + i < count ? load_row_units<Product>(row + u * Product::kPack, n) : zero_units();
      }
      transpose(r);
#pragma GCC unroll 16
      for (int i = 0; i < kWidth; i++)
        if (i < n) store_units(panel + (u + i) * kPanel + j, r[i]);
    }
}

// 0 in every lane, unless x or an x before held an infinity or a NaN. Four at once: each waits for the one before.
struct Probes {
  F of[4] = {zero(), zero(), zero(), zero()};
  GA_ALWAYS_INLINE void add(int i, F x) { of[i] = fma(x, zero(), of[i]); }
  GA_ALWAYS_INLINE bool hit() const {
    const float sum = reduce_add(ga::GA_ISA::add(ga::GA_ISA::add(of[0], of[1]), ga::GA_ISA::add(of[2], of[3])));
    return sum != sum;
  }
};

// Returns whether a value was infinite or NaN: such values must not meet the zero weight of a masked key.
template <class T>
static bool pack_value_panel(F32Product, const char *const *values, int64_t count, int64_t columns, int64_t panel_stride,
                             int32_t *to) {
  Probes probes;
  for (int64_t j = 0; j < kPanel; j += 4)
    for (int64_t d = 0; d < columns; d += kWidth) {
      const int n = columns - d < kWidth ? static_cast<int>(columns - d) : kWidth;
      int32_t *at = to + (d / kPanel) * panel_stride + j * kPanel + d % kPanel;
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        const T *from = reinterpret_cast<const T *>(values[j + i]) + d;
        const F x = j + i >= count ? zero() : n < kWidth ? load(from, n) : load(from);
        probes.add(i, x);
        store_units(at + i * kPanel, as_units(x));
      }
    }
  return probes.hit();
}

#ifdef GA_NATIVE_BF16
// Columns [d, d + two vectors) of two rows as pairs, low and high. A row that is nullptr is 0.
template <class T>
GA_INLINE void load_pairs(const T *even, const T *odd, int64_t d, int64_t columns, U &low, U &high) {
  if constexpr (sizeof(T) == 1) {
    const auto floats = [&](const T *row, int64_t from) {
      const int64_t n = columns - from;
      return row && n > 0 ? n < kWidth ? load(row + from, static_cast<int>(n)) : load(row + from) : zero();
    };
    low = pair_up(floats(even, d), floats(odd, d));
    high = pair_up(floats(even, d + kWidth), floats(odd, d + kWidth));
  } else {
    const int n = columns - d < 2 * kWidth ? static_cast<int>(columns - d) / 2 : kWidth;
    const U x = even ? load_row_units<Bf16Product>(even + d, n) : zero_units();
    const U y = odd ? load_row_units<Bf16Product>(odd + d, n) : zero_units();
    interleave(x, y, low, high);
  }
}

template <class T>
static bool pack_value_panel(Bf16Product, const char *const *values, int64_t count, int64_t columns, int64_t panel_stride,
                             int32_t *to) {
  Probes probes;
  for (int64_t j = 0; j < kPanel; j += 2)
    for (int64_t d = 0; d < columns; d += 2 * kWidth) {
      const T *even = j < count ? reinterpret_cast<const T *>(values[j]) : nullptr;
      const T *odd = j + 1 < count ? reinterpret_cast<const T *>(values[j + 1]) : nullptr;
      U low, high;
      load_pairs(even, odd, d, columns, low, high);
      probes.add(0, low_halves(low));
      probes.add(1, high_halves(low));
      probes.add(2, low_halves(high));
      probes.add(3, high_halves(high));
      int32_t *at = to + (d / kPanel) * panel_stride + (j / 2) * kPanel + d % kPanel;
      store_units(at, low);
      store_units(at + kWidth, high);
    }
  return probes.hit();
}
#endif

// Task: one panel of one key/value head of the part.
template <class Product, class T>
static void pack_task(const Problem &p, const Schedule &s, const Part &part, char *shared, int64_t task) {
  GA_STAGE(kKeys);
  const int64_t h = task / part.panels, panel = task % part.panels;
  const int64_t first = part.first_packed + panel * kPanel, left = part.sequence.keys - first;
  const int64_t count = left < kPanel ? left : kPanel;
  const int64_t at = part.first_panel + task;
  float *key_scales = reinterpret_cast<float *>(shared + s.key_scales_offset) + at * kPanel;
  float *value_scales = reinterpret_cast<float *>(shared + s.value_scales_offset) + at * kPanel;
  const char *keys[kPanel], *values[kPanel];
  for (int64_t j = 0; j < kPanel; j++) {
    const int64_t key = first + (j < count ? j : count - 1);
    keys[j] = p.key(p.k, part.sequence, key, h);
    values[j] = p.key(p.v, part.sequence, key, h);
    if (sizeof(T) > 1) continue;
    key_scales[j] = p.scale_of(p.k_scale, part.sequence, key, h);
    value_scales[j] = p.scale_of(p.v_scale, part.sequence, key, h);
  }
  int32_t *key_panel = reinterpret_cast<int32_t *>(shared + s.keys_offset) + at * s.key_units * kPanel;
  const int64_t units = p.head_dim / Product::kPack;
  pack_key_panel<Product, T>(keys, count, units, key_panel);
  zero_from(key_panel, units * kPanel, s.key_units * kPanel);
  const int64_t panel_units = kPanel / Product::kPack * kPanel;  // a panel's share of one column panel
  int32_t *to = reinterpret_cast<int32_t *>(shared + s.values_offset) +
                (part.first_panel + h * part.panels) * s.value_panels * panel_units + panel * panel_units;
  shared[s.flags_offset + at] =
      pack_value_panel<T>(typename Product::ByUnit{}, values, count, p.head_dim_v, part.value_units * kPanel, to);
}

}  // namespace ga::GA_ISA
