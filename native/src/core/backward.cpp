#include "core/backward.h"

#include <atomic>
#include <cstring>
#include <initializer_list>

#include "core/dispatch.h"

namespace ga {
namespace {

// Below this many query-key products (in elements of head_dim) a helper would come too late.
constexpr double kAloneBelow = 50'000;
constexpr int64_t kMostBytes = int64_t{1} << 56;

// Units of work, each a row of tasks that begin in their order. Every thread starts on units of its own, so that what it wrote
// stays in its caches; whoever has none left helps with the last unit of another. Products of a unit wait for those
// of earlier tasks of that unit only, and these have been claimed by threads that run: nobody waits for a thread that
// does not come.
class Units {
 public:
  Units(std::atomic<int64_t> *claimed, int64_t count, int threads)
      : claimed_(claimed), count_(count), threads_(threads) {}

  // tasks_of(unit): how many; run(unit, task).
  template <class TasksOf, class Run>
  void work(int participant, const TasksOf &tasks_of, const Run &run) const {
    for (int64_t u = first(participant); u < first(participant + 1); u++) finish(u, tasks_of, run);
    for (int i = 1; i < threads_; i++) {
      const int other = (participant + i) % threads_;
      for (int64_t u = first(other + 1); u-- > first(other);) finish(u, tasks_of, run);
    }
  }

 private:
  int64_t first(int participant) const {
    return static_cast<int64_t>(static_cast<__int128>(count_) * participant / threads_);
  }
  template <class TasksOf, class Run>
  void finish(int64_t unit, const TasksOf &tasks_of, const Run &run) const {
    const int64_t tasks = tasks_of(unit);
    if (claimed_[unit].load(std::memory_order_relaxed) >= tasks) return;
    for (int64_t t; (t = claimed_[unit].fetch_add(1, std::memory_order_relaxed)) < tasks;) run(unit, t);
  }

  std::atomic<int64_t> *claimed_;
  int64_t count_;
  int threads_;
};

struct Job {
  const BackwardProblem &p;
  const BackwardSchedule &s;
  const Kernels::Backward &kernels;
  const View &ungated;
  char *shared;
  Units rows, products;

  char *own_of(int participant) const { return shared + s.shared_bytes + participant * s.thread_bytes; }
};

void rows(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  char *own = job.own_of(participant);
  job.rows.work(
      participant, [&](int64_t) { return job.s.row_tasks; },
      [&](int64_t unit, int64_t task) { job.kernels.rows(job.p, job.s, job.ungated, job.shared, own, unit, task); });
}

void products(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  char *own = job.own_of(participant);
  const auto part_of = [&](int64_t unit) { return backward_part(job.p, job.s, job.shared, unit / job.p.heads_kv); };
  job.products.work(
      participant, [&](int64_t unit) { return part_of(unit).tasks; },
      [&](int64_t unit, int64_t task) {
        job.kernels.products(job.p, job.s, part_of(unit), job.shared, own, unit % job.p.heads_kv, task);
      });
}

bool alone(const BackwardProblem &p) {
  const double rows = static_cast<double>(p.seq_q) * static_cast<double>(p.batch) * p.heads_q;
  return rows * static_cast<double>(p.seq_k < 16 ? 16 : p.seq_k) * p.head_dim < kAloneBelow;
}

// Y, dense and in f32.
bool recompute(const BackwardProblem &p, BackwardPlan &plan, const Kernels &kernels, ThreadPool &pool, char *workspace,
               View &ungated) {
  const Problem f = ungated_problem(p, workspace + plan.ungated_offset);
  if (!make_parts(f, kernels.geometry, pool.threads(), plan.forward, workspace)) return false;
  forward(f, plan.forward, kernels, pool, workspace);
  ungated = f.out;
  return true;
}

}  // namespace

bool plan_backward(const BackwardProblem &p, const Kernels &kernels, int threads, BackwardPlan &plan) {
  BackwardSchedule &s = plan.schedule;
  if (!make_backward_schedule(p, kernels.geometry, threads, s)) return false;
  int64_t bytes = s.shared_bytes + threads * s.thread_bytes, ungated = 0;
  if (s.recomputes) {
    if (!make_schedule(ungated_problem(p, nullptr), kernels.geometry, threads, plan.forward)) return false;
    const int64_t needed = workspace_bytes(plan.forward, threads);
    if (needed > bytes) bytes = needed;
    ungated = ungated_bytes(p);
    if (ungated < 0 || ungated > kMostBytes) return false;
  }
  plan.ungated_offset = round_up(bytes, 64);
  plan.lengths_offset = round_up(plan.ungated_offset + ungated, 64);
  plan.workspace_bytes = plan.lengths_offset;
  return true;
}

bool backward(const BackwardProblem &p, BackwardPlan &plan, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  const BackwardSchedule &s = plan.schedule;
  View ungated = p.ungated;
  if (s.recomputes && !recompute(p, plan, kernels, pool, workspace, ungated)) return false;
  if (p.batch > 0) make_backward_parts(p, s, workspace);
  auto *claimed = reinterpret_cast<std::atomic<int64_t> *>(workspace + s.counters_offset);
  std::memset(workspace + s.counters_offset, 0, static_cast<size_t>(s.row_units + s.units(p)) * sizeof *claimed);
  if (p.dq.data) std::memset(workspace + s.tickets_offset, 0, static_cast<size_t>(s.tickets) * kTicketBytes);
  const bool by_itself = alone(p);
  const int threads = by_itself ? 1 : pool.threads();
  const Kernels::Backward &of_type = kernels.backward[p.q.dtype];
  Job job{
      p, s, of_type, ungated, workspace, {claimed, s.row_units, threads}, {claimed + s.row_units, s.units(p), threads}};
  for (const ThreadPool::Work work : {rows, products}) {
    if (work == products && !s.attends) break;
    if (by_itself)
      work(&job, 0);
    else
      pool.run(work, &job);
  }
  of_type.sums(p, s, workspace);
  return true;
}

}  // namespace ga
