#include "forward_mma.h"

#include "cuda/forward_mma/choice.h"

namespace gatest {
namespace {

using namespace ga::cuda::prefill;

template <typename T>
void run_mma(int dim, const ga::Problem &p, const Tasks &tasks) {
  switch (dim) {
    case 64: return forward_mma<T, 64>(p, tasks);
    case 96: return forward_mma<T, 96>(p, tasks);
    case 128: return forward_mma<T, 128>(p, tasks);
    case 192: return forward_mma<T, 192>(p, tasks);
    default: return forward_mma<T, 256>(p, tasks);
  }
}

void run(const Choice &choice, const ga::Problem &p, const Tasks &tasks) {
  if (choice.tensor_cores)
    return p.q.dtype == GA_BF16 ? run_mma<ga::bf16>(choice.columns, p, tasks)
                                : run_mma<ga::f16>(choice.columns, p, tasks);
  if (p.q.dtype == GA_BF16) return forward_fma<ga::bf16, 512>(p, tasks);
  if (p.q.dtype == GA_F16) return forward_fma<ga::f16, 512>(p, tasks);
  switch (choice.columns) {
    case 128: return forward_fma<float, 128>(p, tasks);
    case 256: return forward_fma<float, 256>(p, tasks);
    default: return forward_fma<float, 512>(p, tasks);
  }
}

}  // namespace

std::string forward_mma(const ga::Problem &p, const gaemu::Options &options, int64_t l2_bytes) {
  const Choice choice = choose(p);
  if (const char *refusal = too_large(p, choice.query_block)) return std::string("refused: ") + refusal;
  const Tasks tasks = tasks_of(p, choice.query_block, l2_bytes);
  if (tasks.count == 0) return "";
  return gaemu::launch(
      static_cast<int>(tasks.count), Tiling<64>::kThreads, static_cast<size_t>(choice.shared_bytes),
      [&] { run(choice, p, tasks); }, options);
}

}  // namespace gatest
