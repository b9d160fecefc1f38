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

}  // namespace ga
