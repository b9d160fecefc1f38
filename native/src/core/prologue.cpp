#include "core/prologue.h"

#include <atomic>
#include <cstring>

#include "core/kernels.h"

namespace ga {
namespace {

constexpr int64_t kTaskElements = 16'384;
constexpr int64_t kAloneBelow = 32'768;     // elements below which a helper would come too late
constexpr int64_t kBackwardTasks = 64;      // at most: each has partial sums of its own
constexpr int64_t kBackwardPositions = 16;  // of a task, at least
constexpr int kScratchRows = 4;

struct Job {
  const Prologue &p;
  void (*run)(const Prologue &, char *own, int64_t task);
  char *own;
  int64_t own_bytes;
  std::atomic<int64_t> next{0};
};

void work(void *context, int participant) {
  Job &job = *static_cast<Job *>(context);
  for (int64_t t; (t = job.next.fetch_add(1, std::memory_order_relaxed)) < job.p.tasks;)
    job.run(job.p, job.own + participant * job.own_bytes, t);
}

int64_t elements_per_token(const Prologue &p) {
  int64_t elements = 0;
  for (const RowPart &part : p.part)
    if (part.in.data) elements += int64_t{part.heads} * part.dim;
  return elements;
}

int64_t own_bytes(const Prologue &p) {
  int64_t dim = 0, scores = 0;
  for (const RowPart &part : p.part) {
    if (!part.in.data) continue;
    if (part.dim > dim) dim = part.dim;
    const int64_t own = part.d_gate.data ? part.gate_heads() * row_scratch(part.gate_dim()) : 0;
    if (own > scores) scores = own;
  }
  return round_up((kScratchRows * row_scratch(dim) + scores) * 4, 64);
}

int64_t partials_bytes(const Prologue &p) { return round_up(p.tasks * p.partial_floats * 4, 64); }

void run_all(const Prologue &p, void (*run)(const Prologue &, char *, int64_t), ThreadPool &pool, char *own) {
  if (p.tasks == 0) return;
  Job job{p, run, own, own_bytes(p)};
  const double elements = static_cast<double>(p.batch) * static_cast<double>(p.seq) * elements_per_token(p);
  if (p.tasks == 1 || elements < kAloneBelow)
    work(&job, 0);
  else
    pool.run(work, &job);
}

// Where tasks leave sums over their tokens: the weight's gradient, and that of a gate that tokens share.
void lay_out_partials(Prologue &p) {
  p.partial_floats = 0;
  for (RowPart &part : p.part) {
    if (!part.in.data) continue;
    if (part.d_norm_weight.data) {
      part.weight_offset = p.partial_floats;
      p.partial_floats += part.heads * row_scratch(part.dim);
    }
    if (part.d_gate.data && part.gate_shared[1]) {
      part.gate_offset = p.partial_floats;
      p.partial_floats += (part.gate_shared[0] ? 1 : p.batch) * part.gate_heads() * row_scratch(part.gate_dim());
    }
  }
}

}  // namespace

int64_t cut_prologue(Prologue &p, bool backward, int threads) {
  if (backward) {
    const int64_t even = ceil_div(p.seq, kBackwardTasks);
    p.tokens_per_task = even < kBackwardPositions ? kBackwardPositions : even;
    p.tasks = p.batch > 0 ? ceil_div(p.seq, p.tokens_per_task) : 0;
    lay_out_partials(p);
  } else {
    const int64_t elements = elements_per_token(p);
    p.tokens_per_task = elements > 0 && elements < kTaskElements ? kTaskElements / elements : 1;
    p.tasks = elements > 0 ? ceil_div(p.batch * p.seq, p.tokens_per_task) : 0;
    p.partial_floats = 0;
  }
  return partials_bytes(p) + threads * own_bytes(p) + 64;
}

void prologue(Prologue &p, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  run_all(p, kernels.prologue, pool, workspace);
}

void prologue_backward(Prologue &p, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  p.partials = reinterpret_cast<float *>(workspace);
  run_all(p, kernels.prologue_backward, pool, workspace + partials_bytes(p));
  kernels.prologue_sums(p);
}

}  // namespace ga
