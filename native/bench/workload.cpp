#include "workload.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "machine_limits.h"

namespace ga::bench {

// Dense, about normally distributed, on large pages.
struct Workload::Tensor {
  Tensor(ga_dtype type, int64_t sequence, int64_t heads, int64_t dim, uint64_t seed) : dtype(type) {
    const int64_t count = sequence * heads * dim, size = type == GA_F32 ? 4 : 2;
    data =
        static_cast<char *>(std::aligned_alloc(1 << 21, static_cast<size_t>((count * size + (1 << 21) - 1) >> 21 << 21)));
    bytes = count * size;
    madvise(data, static_cast<size_t>((bytes + (1 << 21) - 1) >> 21 << 21), MADV_HUGEPAGE);
    stride[0] = count;
    stride[1] = heads * dim;
    stride[2] = dim;
    stride[3] = 1;
    for (int64_t i = 0; i < count; i++) {  // the sum of four uniform numbers
      float x = 0;
      for (int k = 0; k < 4; k++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        x += static_cast<float>(seed >> 40) / static_cast<float>(1 << 24) - 0.5f;
      }
      x *= 1.732f;
      if (type == GA_F32)
        std::memcpy(data + i * 4, &x, 4);
      else
        std::memcpy(data + i * 2, reinterpret_cast<const char *>(&x) + 2, 2);
    }
  }
  ~Tensor() { std::free(data); }
  Tensor(const Tensor &) = delete;
  Tensor &operator=(const Tensor &) = delete;

  ga_dtype dtype;
  char *data = nullptr;
  int64_t bytes = 0;
  int64_t stride[4] = {};
};

ga_tensor Workload::tensor(ga_dtype dtype, int64_t sequence, int64_t heads, int64_t dim) {
  tensors_.push_back(std::make_unique<Tensor>(dtype, sequence, heads, dim, tensors_.size() + 1));
  const Tensor &t = *tensors_.back();
  return {t.data, t.bytes, {t.stride[0], t.stride[1], t.stride[2], t.stride[3]}, dtype, 0};
}

Workload::Workload(ga_runtime runtime, const Shape &s) : runtime_(runtime), backward_(s.pass != kForward) {
  ga_attention_params &p = params_;
  p.struct_size = sizeof p;
  p.batch = 1;
  p.seq_q = s.seq_q;
  p.seq_k = s.seq_k;
  p.heads_q = s.heads_q;
  p.heads_kv = s.heads_kv;
  p.head_dim = p.head_dim_v = s.head_dim;
  p.window_left = p.window_right = -1;
  p.scale = 1 / std::sqrt(static_cast<float>(s.head_dim));
  p.flags = GA_CAUSAL;
  const auto of_queries = [&] { return tensor(s.dtype, s.seq_q, s.heads_q, s.head_dim); };
  const auto of_keys = [&] { return tensor(s.dtype, s.seq_k, s.heads_kv, s.head_dim); };
  p.q = of_queries();
  p.k = of_keys();
  p.v = of_keys();
  p.gate = of_queries();
  p.out = of_queries();
  plan_.struct_size = sizeof plan_;
  ga_error error{};
  if (!backward_) {
    require(ga_attention_plan_for(runtime_, &p, &plan_, &error), error);
    return;
  }
  ga_attention_backward_params &g = gradients_;
  g.struct_size = sizeof g;
  p.lse = tensor(GA_F32, s.seq_q, s.heads_q, 1);
  g.dout = of_queries();
  g.dq = of_queries();
  g.dk = of_keys();
  g.dv = of_keys();
  g.dgate = of_queries();
  if (s.pass == kBackwardHeadwise) p.gate.stride[3] = g.dgate.stride[3] = 0;
  if (s.pass == kBackwardUngated) p.gate = g.dgate = {};
  require(ga_attention_forward(runtime_, &p, &error), error);
  require(ga_attention_backward_plan_for(runtime_, &p, &g, &plan_, &error), error);
}

Workload::~Workload() = default;

void Workload::call() {
  ga_error error{};
  require(backward_ ? ga_attention_backward(runtime_, &params_, &gradients_, &error)
                    : ga_attention_forward(runtime_, &params_, &error),
          error);
}

void require(ga_status status, const ga_error &error) {
  if (status == GA_OK) return;
  std::fprintf(stderr, "%s: %s\n", ga_status_name(status), error.message);
  std::exit(1);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double median_seconds(Workload &workload) {
  std::vector<double> times;
  const double until = now_seconds() + 0.15;
  for (int warm = 0; warm < 3; warm++) workload.call();
  do {
    const double start = now_seconds();
    workload.call();
    times.push_back(now_seconds() - start);
  } while (now_seconds() < until || times.size() < 5);
  return median(times);
}

}  // namespace ga::bench
