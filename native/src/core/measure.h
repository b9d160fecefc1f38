// Measurements of a call and of values: what is asked for, how it is cut into tasks, and where results go.
//
// As with attention itself, the cut follows from the shape alone and partial sums are added in a fixed order: the same bits for
// any number of threads.
#pragma once

#include "core/problem.h"
#include "core/thread_pool.h"

namespace ga {

struct Kernels;

constexpr int kMeasureRows = 48;   // query rows that share a block of packed keys
constexpr int kMeasureKeys = 256;  // keys of such a block
constexpr int kMaxRanges = 64;

// A checked measurement of attention. A task is some neighboring query rows of one head of one sequence.
struct Measure {
  Problem p;
  int32_t ranges;
  int64_t range[kMaxRanges][2];   // first key and end, counted from the first key of the sequence
  int64_t map_rows, map_columns;  // 0: no map
  double *share, *entropy, *map;
  int64_t *rows;

  int64_t tasks_per_head;  // as many as the sequence with most queries has
  double *partials;        // [B, Hq, tasks_per_head, ranges + 1]: sums over the task's rows of shares, then of entropies

  GA_ALWAYS_INLINE bool all_keys() const { return entropy || map_rows > 0; }
  GA_ALWAYS_INLINE double *partial(int64_t task) const { return partials + task * (ranges + 1); }
};

// What part of an axis of `extent` elements lies in one of its cells: cell c has [cell_begin(c), cell_begin(c + 1)).
GA_ALWAYS_INLINE int64_t cell_begin(int64_t extent, int64_t cells, int64_t c) { return ceil_div(c * extent, cells); }
GA_ALWAYS_INLINE int64_t cell_of(int64_t extent, int64_t cells, int64_t i) { return i * cells / extent; }

// The query rows of one task, and with a map the cells that they fill.
struct MeasuredRows {
  int64_t first, end;
  int64_t cells, first_cell, end_cell;  // rows of the map that the sequence has, and of this task
};

// With a map whole cells, so that each row of the map is one task's.
GA_ALWAYS_INLINE MeasuredRows measured_rows(const Measure &m, int64_t queries, int64_t block) {
  MeasuredRows r = {};
  if (m.map_rows == 0) {
    r.first = block * kMeasureRows;
    r.end = r.first + kMeasureRows;
  } else if (queries > 0) {
    r.cells = m.map_rows < queries ? m.map_rows : queries;
    const int64_t fitting = kMeasureRows * r.cells / queries, each = fitting > 1 ? fitting : 1;
    r.first_cell = block * each < r.cells ? block * each : r.cells;
    r.end_cell = r.first_cell + each < r.cells ? r.first_cell + each : r.cells;
    r.first = cell_begin(queries, r.cells, r.first_cell);
    r.end = cell_begin(queries, r.cells, r.end_cell);
  }
  if (r.first > queries) r.first = queries;
  if (r.end > queries) r.end = queries;
  return r;
}

// Scratch: partial sums, then a piece per thread.
int64_t measure_bytes(const Measure &m, int threads);
void measure(Measure &m, const Kernels &kernels, ThreadPool &pool, char *workspace);

constexpr int64_t kValuesPerTask = 65'536;

// What has been counted of the values of one head; parts of it are joined in order.
struct Tally {
  int64_t count, nans, below, above, small, smaller;
  double mean, squares;  // of the numbers; sum of squared distances from the mean
  double min, max, largest;
};

// Checked statistics of values. A task is some neighboring tokens of one head.
struct Values {
  int64_t batch, seq;
  int32_t heads, dim;
  ga_activation activation;
  int32_t bins;
  double low, high, below, above, small, smaller;
  View values;
  ga_value_statistics *statistics;
  int64_t *histogram;

  int64_t tokens_per_task, tasks_per_head;
  Tally *tallies;     // [heads, tasks_per_head]
  int64_t *counters;  // [heads, tasks_per_head, bins]
};

int64_t values_bytes(const Values &v);
void measure_values(Values &v, const Kernels &kernels, ThreadPool &pool, char *workspace);

// b joins a, which comes before it.
GA_ALWAYS_INLINE void add_tally(Tally &a, const Tally &b) {
  if (b.count == 0) return;
  const double all = static_cast<double>(a.count + b.count), share = static_cast<double>(b.count) / all;
  const double distance = b.mean - a.mean;
  a.squares += b.squares + distance * distance * share * static_cast<double>(a.count);
  a.mean += distance * share;
  a.min = a.count == 0 || b.min < a.min ? b.min : a.min;
  a.max = a.count == 0 || b.max > a.max ? b.max : a.max;
  a.largest = a.count == 0 || b.largest > a.largest ? b.largest : a.largest;
  a.count += b.count;
  a.nans += b.nans;
  a.below += b.below;
  a.above += b.above;
  a.small += b.small;
  a.smaller += b.smaller;
}

}  // namespace ga
