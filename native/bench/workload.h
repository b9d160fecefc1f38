// Calls to be timed: operands of a shape, filled with random numbers, and the forward or backward pass over them.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "gated_attention.h"

namespace ga::bench {

enum Pass { kForward, kBackward, kBackwardHeadwise, kBackwardUngated };

struct Shape {
  const char *name;
  ga_dtype dtype;
  int heads_q, heads_kv, head_dim;
  int64_t seq_q, seq_k;
  Pass pass = kForward;

  bool decodes() const { return seq_q == 1; }
};

// Ends the program where a status is not GA_OK.
void require(ga_status status, const ga_error &error);

// One sequence, causal, an element-wise sigmoid gate unless the pass says otherwise.
class Workload {
 public:
  Workload(ga_runtime runtime, const Shape &shape);
  ~Workload();
  Workload(const Workload &) = delete;
  Workload &operator=(const Workload &) = delete;

  void call();
  const ga_attention_plan &plan() const { return plan_; }

 private:
  struct Tensor;
  ga_tensor tensor(ga_dtype dtype, int64_t sequence, int64_t heads, int64_t dim);

  const ga_runtime runtime_;
  const bool backward_;
  std::vector<std::unique_ptr<Tensor>> tensors_;
  ga_attention_params params_{};
  ga_attention_backward_params gradients_{};
  ga_attention_plan plan_{};
};

double median(std::vector<double> values);

// The median time of so many calls as take some tenths of a second, in seconds.
double median_seconds(Workload &workload);

}  // namespace ga::bench
