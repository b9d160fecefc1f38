// Counts values of one head: a(values) in f32, statistics of them in double.
#pragma once

#include "core/measure.h"
#include "cpu/math.h"

namespace ga::GA_ISA {
namespace {

constexpr int kValueRun = 512;  // values of a row at a time

// Elements [0, n) of a row, widened; any n, and nothing beyond it is read.
template <class T>
static void widen_run(const T *row, int64_t stride, int n, float *to) {
  int d = 0;
  if (stride == 1)
    for (; d + kWidth <= n; d += kWidth) store(to + d, load(row + d));
  if (d == n) return;
  T rest[kWidth] = {};
  for (; d < n; d += kWidth) {
    const int left = n - d < kWidth ? n - d : kWidth;
    for (int i = 0; i < left; i++) rest[i] = row[(d + i) * stride];
    store(to + d, load(rest));
  }
}

static void widen_run(const View &view, const char *row, int64_t d, int n, float *to) {
  const char *at = row + d * view.dim * view.element_bytes;
  switch (view.dtype) {
    case GA_BF16: return widen_run(reinterpret_cast<const bf16 *>(at), view.dim, n, to);
    case GA_F16: return widen_run(reinterpret_cast<const f16 *>(at), view.dim, n, to);
    default: return widen_run(reinterpret_cast<const float *>(at), view.dim, n, to);
  }
}

static Tally count_run(const Values &v, const float *x, int n, int64_t *bins) {
  Tally t = {};
  const double per_width = v.bins / (v.high - v.low);
  double sum = 0;
  for (int i = 0; i < n; i++) {
    const double value = x[i], size = __builtin_fabs(value);
    sum += value;
    t.nans += value != value;
    t.below += value < v.below;
    t.above += value > v.above;
    t.small += size < v.small;
    t.smaller += size < v.smaller;
    if (i == 0 || value < t.min) t.min = value;
    if (i == 0 || value > t.max) t.max = value;
    if (i == 0 || size > t.largest) t.largest = size;
    if (v.bins > 0 && value >= v.low && value <= v.high) {
      const auto bin = static_cast<int32_t>((value - v.low) * per_width);
      bins[bin < v.bins ? bin : v.bins - 1]++;
    }
  }
  t.count = n;
  t.mean = sum / n;
  for (int i = 0; i < n; i++) t.squares += (x[i] - t.mean) * (x[i] - t.mean);
  return t;
}

static void measure_values_task(const Values &v, int64_t task) {
  const int64_t h = task / v.tasks_per_head, first = task % v.tasks_per_head * v.tokens_per_task;
  const int64_t all = v.batch * v.seq, end = first + v.tokens_per_task < all ? first + v.tokens_per_task : all;
  int64_t *bins = v.counters + task * v.bins;
  for (int32_t n = 0; n < v.bins; n++) bins[n] = 0;
  Tally tally = {};
  alignas(64) float x[kValueRun + kWidth];
  for (int64_t token = first; token < end; token++) {
    const char *row = v.values.at(token / v.seq, token % v.seq, h);
    for (int64_t d = 0; d < v.dim; d += kValueRun) {
      const int n = static_cast<int>(v.dim - d < kValueRun ? v.dim - d : kValueRun);
      widen_run(v.values, row, d, n, x);
      for (int i = 0; i < n; i += kWidth) store(x + i, activate<kFine>(v.activation, load(x + i)));
      add_tally(tally, count_run(v, x, n, bins));
    }
  }
  v.tallies[task] = tally;
}

}  // namespace
}  // namespace ga::GA_ISA
