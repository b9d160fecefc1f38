#include "core/dispatch.h"

#include <sched.h>

#include <atomic>
#include <cstring>

namespace ga {
namespace {

// Below this many query-key products (in elements of head_dim) a helper would come too late.
constexpr int64_t kAloneBelow = 100'000;

struct Job {
  const Problem &p;
  const Schedule &s;
  const Kernels::PerType &kernels;
  char *shared;
  char *own;
  std::atomic<int64_t> next_panel{0}, packed{0}, next_task{0};

  char *own_of(int participant) const { return own + participant * s.thread_bytes; }
};

// Elements of partial results per task of a merge.
constexpr int64_t kMergeElements = 16'384;

struct MergeJob {
  const Merge &m;
  const Kernels::PerType &kernels;
  int64_t rows, step;
  std::atomic<int64_t> next{0};
};

void merge_rows(void *context, int) {
  MergeJob &job = *static_cast<MergeJob *>(context);
  for (int64_t r; (r = job.next.fetch_add(job.step, std::memory_order_relaxed)) < job.rows;)
    job.kernels.merge_partials(job.m, r, r + job.step < job.rows ? r + job.step : job.rows);
}

int64_t claim(std::atomic<int64_t> &next) { return next.fetch_add(1, std::memory_order_relaxed); }

void pack(Job &job) {
  for (int64_t t; (t = claim(job.next_panel)) < job.s.panels;) {
    int64_t panel = t;
    const Part part = part_of_panel(job.p, job.s, job.shared, panel);
    job.kernels.pack(job.p, job.s, part, job.shared, panel);
    job.packed.fetch_add(1, std::memory_order_release);
  }
  // Another thread may still pack; it does not matter whether all threads have come.
  for (int spins = 1; job.packed.load(std::memory_order_acquire) < job.s.panels; spins++) {
    spin_pause();
    if (spins % 4096 == 0) sched_yield();
  }
}

void prefill(const Job &job, char *own, int64_t task) {
  const Part part = part_of_task(job.p, job.s, job.shared, kPrefill, task);
  job.kernels.prefill(job.p, job.s, part, job.shared, own, task);
}

void decode(const Job &job, char *own, int64_t task) {
  const Part part = part_of_task(job.p, job.s, job.shared, kDecode, task);
  job.kernels.decode(job.p, job.s, part, job.shared, own, task);
  auto *done = reinterpret_cast<std::atomic<int32_t> *>(job.shared + job.s.counters_offset) + part.first_group;
  const int64_t block = task / part.chunks;
  if (done[block].fetch_add(1, std::memory_order_acq_rel) + 1 == part.chunks)
    job.kernels.merge(job.p, job.s, part, job.shared, own, block);
}

void work(void *context, int participant) {
  Job &job = *static_cast<Job *>(context);
  char *own = job.own_of(participant);
  pack(job);
  for (int64_t t; (t = claim(job.next_task)) < job.s.tasks();)
    if (t < job.s.prefill_tasks)
      prefill(job, own, t);
    else
      decode(job, own, t - job.s.prefill_tasks);
}

void blank_padding(const Problem &p, const Kernels::PerType &kernels) {
  if (!p.query_lengths.data) return;
  for (int64_t b = 0; b < p.batch; b++) kernels.blank(p, sequence_of(p, b));
}

}  // namespace

void forward(const Problem &p, const Schedule &s, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  const Kernels::PerType &of_type = kernels.type[p.q.dtype][p.k.dtype];
  blank_padding(p, of_type);
  if (s.tasks() == 0) return;
  Job job{p, s, of_type, workspace, workspace + s.shared_bytes};
  std::memset(workspace + s.counters_offset, 0, static_cast<size_t>(s.groups) * sizeof(int32_t));
  if (s.tasks() == 1 || s.products * p.head_dim < kAloneBelow)
    work(&job, 0);
  else
    pool.run(work, &job);
}

void merge(const Merge &m, const Kernels &kernels, ThreadPool &pool) {
  const int64_t each = m.head_dim_v * (m.count < kMergeElements ? m.count : kMergeElements);
  const int64_t rows = m.batch * m.seq_q * m.heads_q, step = kMergeElements / each;
  MergeJob job{m, kernels.type[m.out.dtype][m.out.dtype], rows, step > 1 ? step : 1};
  if (static_cast<double>(rows) * static_cast<double>(each) < kAloneBelow)
    merge_rows(&job, 0);
  else
    pool.run(merge_rows, &job);
}

}  // namespace ga
