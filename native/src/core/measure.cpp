#include "core/measure.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/kernels.h"
#include "core/mask.h"
#include "core/sequence.h"

namespace ga {
namespace {

// Below this much work a helper would come too late.
constexpr double kAloneBelow = 100'000;

struct MeasureJob {
  const Measure &m;
  const Kernels &kernels;
  char *own;
  int64_t own_bytes, tasks;
  std::atomic<int64_t> next{0};
};

struct ValuesJob {
  const Values &v;
  const Kernels &kernels;
  int64_t tasks;
  std::atomic<int64_t> next{0};
};

void measure_some(void *context, int participant) {
  MeasureJob &job = *static_cast<MeasureJob *>(context);
  for (int64_t t; (t = job.next.fetch_add(1, std::memory_order_relaxed)) < job.tasks;)
    job.kernels.measure(job.m, job.own + participant * job.own_bytes, t);
}

void values_some(void *context, int) {
  ValuesJob &job = *static_cast<ValuesJob *>(context);
  for (int64_t t; (t = job.next.fetch_add(1, std::memory_order_relaxed)) < job.tasks;)
    job.kernels.measure_values(job.v, t);
}

// Of one thread: query rows, packed keys, scores, scales of keys.
int64_t own_bytes(const Measure &m) {
  const int64_t floats =
      (kMeasureRows + kMeasureKeys) * int64_t{m.p.head_dim} + kMeasureRows * kMeasureKeys + kMeasureKeys;
  return round_up(floats * 4, 64) + 3 * 64;
}

int64_t partials_bytes(const Measure &m) {
  const int64_t tasks = m.p.batch * m.p.heads_q * m.tasks_per_head;
  return round_up(tasks * (m.ranges + 1) * static_cast<int64_t>(sizeof(double)), 64);
}

void cut(Measure &m) {
  m.tasks_per_head = 0;
  const int64_t different = m.p.alike() && m.p.batch > 1 ? 1 : m.p.batch;
  for (int64_t b = 0; b < different; b++) {
    const int64_t queries = sequence_of(m.p, b).queries;
    int64_t tasks = ceil_div(queries, kMeasureRows);
    if (m.map_rows > 0 && queries > 0) {
      const MeasuredRows first = measured_rows(m, queries, 0);
      tasks = ceil_div(first.cells, first.end_cell);
    }
    if (tasks > m.tasks_per_head) m.tasks_per_head = tasks;
  }
}

int64_t counted_rows(const Problem &p, int64_t b) {
  const Sequence of = sequence_of(p, b);
  int64_t rows = 0;
  for (int64_t i = 0; i < of.queries; i++) {
    const KeyRange keys = visible_keys(p, of, i);
    rows += keys.lo < keys.hi;
  }
  return rows;
}

// Sums of the tasks, in their order, become means over the rows.
void finish(const Measure &m) {
  for (int64_t b = 0; b < m.p.batch; b++) {
    const int64_t rows = counted_rows(m.p, b);
    if (m.rows) m.rows[b] = rows;
    for (int64_t h = 0; h < m.p.heads_q; h++) {
      const int64_t head = b * m.p.heads_q + h;
      for (int32_t r = 0; r <= m.ranges; r++) {
        double sum = 0;
        for (int64_t t = 0; t < m.tasks_per_head; t++) sum += m.partial(head * m.tasks_per_head + t)[r];
        const double mean = rows > 0 ? sum / static_cast<double>(rows) : 0;
        if (r < m.ranges)
          m.share[head * m.ranges + r] = mean;
        else if (m.entropy)
          m.entropy[head] = mean;
      }
    }
  }
}

int64_t tokens(const Values &v) { return v.batch * v.seq; }

void report(const Tally &t, ga_value_statistics &to) {
  const double nan = __builtin_nan("");
  const bool numbers = t.count > 0 && t.nans == 0;
  to.count = t.count;
  to.nans = t.nans;
  to.below = t.below;
  to.above = t.above;
  to.small = t.small;
  to.smaller = t.smaller;
  to.mean = numbers ? t.mean : nan;
  to.standard_deviation = numbers ? std::sqrt(t.squares / static_cast<double>(t.count)) : nan;
  to.min = numbers ? t.min : nan;
  to.max = numbers ? t.max : nan;
  to.largest = numbers ? t.largest : nan;
}

}  // namespace

int64_t measure_bytes(const Measure &given, int threads) {
  Measure m = given;
  cut(m);
  return partials_bytes(m) + threads * own_bytes(m);
}

void measure(Measure &m, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  cut(m);
  m.partials = reinterpret_cast<double *>(workspace);
  if (m.map_rows > 0) {
    const int64_t cells = m.p.batch * m.p.heads_q * m.map_rows * m.map_columns;
    std::fill_n(m.map, cells, 0.0);
  }
  const int64_t tasks = m.p.batch * m.p.heads_q * m.tasks_per_head;
  MeasureJob job{m, kernels, workspace + partials_bytes(m), own_bytes(m), tasks};
  const double pairs = static_cast<double>(m.p.seq_q) * (m.all_keys() ? static_cast<double>(m.p.seq_k) : m.ranges);
  if (tasks == 1 || pairs * m.p.heads_q * m.p.head_dim < kAloneBelow)
    measure_some(&job, 0);
  else
    pool.run(measure_some, &job);
  finish(m);
}

// The cut is made when the statistics are checked: it needs no more than their shape.
int64_t values_bytes(const Values &v) {
  const int64_t tasks = v.heads * v.tasks_per_head;
  return round_up(tasks * static_cast<int64_t>(sizeof(Tally)), 64) +
         tasks * v.bins * static_cast<int64_t>(sizeof(int64_t)) + 64;
}

void measure_values(Values &v, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  const int64_t tasks = v.heads * v.tasks_per_head;
  v.tallies = reinterpret_cast<Tally *>(workspace);
  v.counters = reinterpret_cast<int64_t *>(workspace + round_up(tasks * static_cast<int64_t>(sizeof(Tally)), 64));
  ValuesJob job{v, kernels, tasks};
  if (tasks == 1 || static_cast<double>(tokens(v)) * v.heads * v.dim < kAloneBelow)
    values_some(&job, 0);
  else
    pool.run(values_some, &job);
  for (int64_t h = 0; h < v.heads; h++) {
    Tally all = {};
    for (int32_t n = 0; n < v.bins; n++) v.histogram[h * v.bins + n] = 0;
    for (int64_t t = h * v.tasks_per_head; t < (h + 1) * v.tasks_per_head; t++) {
      add_tally(all, v.tallies[t]);
      for (int32_t n = 0; n < v.bins; n++) v.histogram[h * v.bins + n] += v.counters[t * v.bins + n];
    }
    report(all, v.statistics[h]);
  }
}

}  // namespace ga
