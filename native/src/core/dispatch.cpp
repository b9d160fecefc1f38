#include "core/dispatch.h"

#include <atomic>
#include <cstring>

#include "core/claims.h"
#include "core/sequence.h"

namespace ga {
namespace {

// Below this many query-key products (in elements of head_dim) a helper would come too late.
constexpr int64_t kAloneBelow = 100'000;

// Tasks in shares, one per participant: each begins with its own, so that call after call a thread finds its part of K, V and
// out in its own caches (a line that another core wrote costs tens of times as much), and then helps with the others'.
class Shares {
 public:
  explicit Shares(char *scratch) : share_(reinterpret_cast<Share *>(scratch)) {}
  // first_of(i): where share i of `shares` begins; first_of(shares) is the end.
  template <class FirstOf>
  void cut(int64_t shares, const FirstOf &first_of) {
    shares_ = shares < kMaxShares ? static_cast<int>(shares) : kMaxShares;
    for (int i = 0; i < shares_; i++) {
      share_[i].next.store(first_of(i, shares_), std::memory_order_relaxed);
      share_[i].end = first_of(i + 1, shares_);
    }
  }
  template <class Run>
  void run(int participant, const Run &run) const {
    for (int i = 0; i < shares_; i++) {
      Share &share = share_[(participant + i) % shares_];
      for (int64_t t; (t = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) run(t);
    }
  }

 private:
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };
  static_assert(sizeof(Share) == kShareBytes);
  Share *share_;
  int shares_ = 0;
};

struct Job {
  Job(const Problem &problem, const Schedule &schedule, const Kernels::PerType &of_type, char *workspace)
      : p(problem),
        s(schedule),
        kernels(of_type),
        shared(workspace),
        own(workspace + schedule.shared_bytes),
        prefill(workspace + schedule.shares_offset),
        decode(workspace + schedule.shares_offset + kMaxShares * kShareBytes) {}

  const Problem &p;
  const Schedule &s;
  const Kernels::PerType &kernels;
  char *shared;
  char *own;
  Shares prefill, decode;

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

// Whoever needs a head first packs it, together with those who come meanwhile.
void pack_head(const Job &job, const Part &part, int64_t head) {
  Claims &panels = reinterpret_cast<Claims *>(job.shared + job.s.packing_offset)[part.first_head + head];
  panels.work(part.panels,
              [&](int64_t panel) { job.kernels.pack(job.p, job.s, part, job.shared, head * part.panels + panel); });
  panels.wait(part.panels);
}

void prefill(const Job &job, char *own, int64_t task) {
  const Part part = part_of_task(job.p, job.s, job.shared, kPrefill, task);
  pack_head(job, part, task / part.query_blocks);
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

// What the caller has just written, all of it at once: a helper would else wait for one line after the other.
template <class T>
GA_ALWAYS_INLINE void fetch(const T &object) {
  for (size_t byte = 0; byte < sizeof object; byte += 64)
    __builtin_prefetch(reinterpret_cast<const char *>(&object) + byte);
}

void work(void *context, int participant) {
  const Job &job = *static_cast<const Job *>(context);
  if (participant > 0) {
    fetch(job.p);
    fetch(job.s);
    fetch(*reinterpret_cast<const Part *>(job.shared + job.s.parts_offset));
  }
  char *own = job.own_of(participant);
  job.prefill.run(participant, [&](int64_t task) { prefill(job, own, task); });
  job.decode.run(participant, [&](int64_t task) { decode(job, own, task); });
}

int64_t at_most(int64_t most, int64_t value) { return value < most ? value : most; }

void blank_padding(const Problem &p, const Kernels::PerType &kernels) {
  if (!p.query_lengths.data) return;
  for (int64_t b = 0; b < p.batch; b++) kernels.blank(p, sequence_of(p, b));
}

}  // namespace

void forward(const Problem &p, const Schedule &s, const Kernels &kernels, ThreadPool &pool, char *workspace) {
  const Kernels::PerType &of_type = kernels.type[p.q.dtype][p.k.dtype];
  blank_padding(p, of_type);
  if (s.tasks() == 0) return;
  const bool alone = s.tasks() == 1 || s.products * p.head_dim < kAloneBelow;
  const int64_t threads = alone ? 1 : pool.threads();
  Job job(p, s, of_type, workspace);
  // Whole heads: who packs a head uses it.
  job.prefill.cut(at_most(threads, s.heads), [&](int64_t share, int64_t shares) {
    return first_task_of_head(p, s, workspace, s.heads * share / shares);
  });
  job.decode.cut(at_most(threads, s.decode_tasks),
                 [&](int64_t share, int64_t shares) { return s.decode_tasks * share / shares; });
  std::memset(workspace + s.packing_offset, 0, static_cast<size_t>(s.heads) * kClaimsBytes);
  std::memset(workspace + s.counters_offset, 0, static_cast<size_t>(s.groups) * sizeof(int32_t));
  if (alone)
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
