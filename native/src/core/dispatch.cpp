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
  std::atomic<int64_t> next_prepare{0}, prepared{0}, next_task{0};

  char *own_of(int participant) const { return own + participant * s.thread_bytes; }
};

void prefill(void *context, int participant) {
  Job &job = *static_cast<Job *>(context);
  for (int64_t t; (t = job.next_prepare.fetch_add(1, std::memory_order_relaxed)) < job.s.prepare_tasks;) {
    job.kernels.pack(job.p, job.s, job.shared, t);
    job.prepared.fetch_add(1, std::memory_order_release);
  }
  // Another thread may still pack; it does not matter whether all threads have come.
  for (int spins = 1; job.prepared.load(std::memory_order_acquire) < job.s.prepare_tasks; spins++) {
    spin_pause();
    if (spins % 4096 == 0) sched_yield();
  }
  for (int64_t t; (t = job.next_task.fetch_add(1, std::memory_order_relaxed)) < job.s.tasks;)
    job.kernels.prefill(job.p, job.s, job.shared, job.own_of(participant), t);
}

void decode(void *context, int participant) {
  Job &job = *static_cast<Job *>(context);
  const Schedule &s = job.s;
  auto *done = reinterpret_cast<std::atomic<int32_t> *>(job.shared + s.counters_offset);
  for (int64_t t; (t = job.next_task.fetch_add(1, std::memory_order_relaxed)) < s.tasks;) {
    if (!job.kernels.decode(job.p, s, job.shared, job.own_of(participant), t)) continue;
    const int64_t group = t / s.chunks;
    const int64_t chunks = s.chunks_of(job.p.key_length(group / s.head_blocks));
    if (done[group].fetch_add(1, std::memory_order_acq_rel) + 1 == chunks)
      job.kernels.merge(job.p, s, job.shared, job.own_of(participant), group);
  }
}

}  // namespace

void forward(const Problem &p, const Schedule &s, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  if (s.tasks == 0) return;
  Job job{p, s, kernels.type[p.dtype()], workspace, workspace + s.shared_bytes};
  if (s.phase == kDecode)
    std::memset(workspace + s.counters_offset, 0, static_cast<size_t>(s.merge_tasks) * sizeof(int32_t));
  const ThreadPool::Work work = s.phase == kDecode ? decode : prefill;
  const double products =
      static_cast<double>(p.batch) * p.heads_kv * static_cast<double>(s.rows) * static_cast<double>(p.seq_k) * p.head_dim;
  if (s.tasks == 1 || products < kAloneBelow)
    work(&job, 0);
  else
    pool.run(work, &job);
}

}  // namespace ga
