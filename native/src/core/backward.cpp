#include "core/backward.h"

#include <cstring>

#include "core/claims.h"
#include "core/dispatch.h"

namespace ga {
namespace {

// Below this many query-key products (in elements of head_dim) a helper would come too late.
constexpr double kAloneBelow = 50'000;
constexpr int64_t kMostBytes = int64_t{1} << 56;

// A unit is a list of tasks, which begin in their order. Every thread starts on units of its own, so that what it wrote stays in its
// caches; whoever has none left helps with the last unit of another. Products of a unit wait for those of earlier tasks of that
// unit only, and these have been claimed by threads that run: nobody waits for a thread that does not come.
template <class Visit>
void each_unit(int64_t count, int participant, int threads, const Visit &visit) {
  const auto first = [&](int of) { return static_cast<int64_t>(static_cast<__int128>(count) * of / threads); };
  for (int64_t u = first(participant); u < first(participant + 1); u++) visit(u);
  for (int i = 1; i < threads; i++) {
    const int other = (participant + i) % threads;
    for (int64_t u = first(other + 1); u-- > first(other);) visit(u);
  }
}

struct Job {
  const BackwardProblem &p;
  const BackwardSchedule &s;
  const Kernels::Backward &kernels;
  const View &ungated;
  char *shared;
  int threads;

  Claims *rows() const { return reinterpret_cast<Claims *>(shared + s.claims_offset); }
  Claims *products() const { return rows() + s.row_units; }
  char *own_of(int participant) const { return shared + s.shared_bytes + participant * s.thread_bytes; }
};

void rows_of(const Job &job, int64_t unit, char *own) {
  job.rows()[unit].work(job.s.row_tasks,
                        [&](int64_t task) { job.kernels.rows(job.p, job.s, job.ungated, job.shared, own, unit, task); });
}

void products_of(const Job &job, int64_t unit, char *own) {
  const BackwardPart part = backward_part(job.p, job.s, job.shared, unit / job.p.heads_kv);
  job.products()[unit].work(part.tasks, [&](int64_t task) {
    job.kernels.products(job.p, job.s, part, job.shared, own, unit % job.p.heads_kv, task);
  });
}

void rows(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  char *own = job.own_of(participant);
  each_unit(job.s.row_units, participant, job.threads, [&](int64_t unit) { rows_of(job, unit, own); });
}

void products(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  char *own = job.own_of(participant);
  each_unit(job.s.units(job.p), participant, job.threads, [&](int64_t unit) { products_of(job, unit, own); });
}

void rows_and_products(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  char *own = job.own_of(participant);
  each_unit(job.s.row_units, participant, job.threads, [&](int64_t unit) {
    rows_of(job, unit, own);
    job.rows()[unit].wait(job.s.row_tasks);
    products_of(job, unit, own);
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
  std::memset(workspace + s.claims_offset, 0, static_cast<size_t>(s.row_units + s.units(p)) * kClaimsBytes);
  if (p.dq.data) std::memset(workspace + s.tickets_offset, 0, static_cast<size_t>(s.tickets) * kTicketBytes);
  const bool by_itself = alone(p);
  const Kernels::Backward &of_type = kernels.backward[p.q.dtype];
  Job job{p, s, of_type, ungated, workspace, by_itself ? 1 : pool.threads()};
  const auto run = [&](ThreadPool::Work work) { by_itself ? work(&job, 0) : pool.run(work, &job); };
  if (s.attends && s.row_units_attend) {
    run(rows_and_products);
  } else {
    run(rows);
    if (s.attends) run(products);
  }
  of_type.sums(p, s, workspace);
  return true;
}

}  // namespace ga
