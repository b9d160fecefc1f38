// speed: the forward and the backward pass beside the machine's limits, measured in turns in the same run.
//
//   speed [pattern]     rows whose name contains the pattern; the share of the peak is of the median over rounds. A backward row
//                       counts the five products of all gradients, 2.5 times the forward's.
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "gated_attention.h"
#include "machine_limits.h"

namespace {

using ga::bench::now_seconds;

constexpr int kThreads = 2, kRounds = 7;

enum Pass { kForward, kBackward, kBackwardHeadwise, kBackwardUngated };

struct Shape {
  const char *name;
  ga_dtype dtype;
  int heads_q, heads_kv, head_dim;
  int64_t seq_q, seq_k;
  Pass pass = kForward;
};

constexpr Shape kShapes[] = {
    {"bf16 S128", GA_BF16, 16, 8, 128, 128, 128},
    {"bf16 S512", GA_BF16, 16, 8, 128, 512, 512},
    {"bf16 S1024", GA_BF16, 16, 8, 128, 1024, 1024},
    {"bf16 S2048", GA_BF16, 16, 8, 128, 2048, 2048},
    {"bf16 S4096", GA_BF16, 16, 8, 128, 4096, 4096},
    {"f32 S128", GA_F32, 16, 8, 128, 128, 128},
    {"f32 S512", GA_F32, 16, 8, 128, 512, 512},
    {"f32 S1024", GA_F32, 16, 8, 128, 1024, 1024},
    {"f32 S2048", GA_F32, 16, 8, 128, 2048, 2048},
    {"f32 S4096", GA_F32, 16, 8, 128, 4096, 4096},
    {"bf16 D64 S1024", GA_BF16, 16, 16, 64, 1024, 1024},
    {"f32 D64 S1024", GA_F32, 16, 16, 64, 1024, 1024},
    {"bf16 D256 S1024", GA_BF16, 16, 2, 256, 1024, 1024},
    {"f32 D256 S1024", GA_F32, 16, 2, 256, 1024, 1024},
    {"bf16 D96 S1024", GA_BF16, 16, 8, 96, 1024, 1024},
    {"bf16 D192 S1024", GA_BF16, 16, 8, 192, 1024, 1024},
    {"bf16 decode 512", GA_BF16, 16, 8, 128, 1, 512},
    {"bf16 decode 4096", GA_BF16, 16, 8, 128, 1, 4096},
    {"bf16 decode 32768", GA_BF16, 16, 8, 128, 1, 32768},
    {"f32 decode 32768", GA_F32, 16, 8, 128, 1, 32768},
    {"bf16 D256 decode 32768", GA_BF16, 16, 2, 256, 1, 32768},
    {"bf16 D256 decode 1024", GA_BF16, 16, 2, 256, 1, 1024},
    {"bf16 group 4 decode 1024", GA_BF16, 32, 8, 128, 1, 1024},
    {"bf16 group 4 decode 32768", GA_BF16, 32, 8, 128, 1, 32768},
    {"bf16 group 8 decode 1024", GA_BF16, 64, 8, 128, 1, 1024},
    {"bf16 group 16 decode 1024", GA_BF16, 32, 2, 128, 1, 1024},
    {"bf16 backward S128", GA_BF16, 16, 8, 128, 128, 128, kBackward},
    {"bf16 backward S512", GA_BF16, 16, 8, 128, 512, 512, kBackward},
    {"bf16 backward S1024", GA_BF16, 16, 8, 128, 1024, 1024, kBackward},
    {"bf16 backward S2048", GA_BF16, 16, 8, 128, 2048, 2048, kBackward},
    {"bf16 backward S4096", GA_BF16, 16, 8, 128, 4096, 4096, kBackward},
    {"f32 backward S128", GA_F32, 16, 8, 128, 128, 128, kBackward},
    {"f32 backward S512", GA_F32, 16, 8, 128, 512, 512, kBackward},
    {"f32 backward S1024", GA_F32, 16, 8, 128, 1024, 1024, kBackward},
    {"f32 backward S2048", GA_F32, 16, 8, 128, 2048, 2048, kBackward},
    {"f32 backward S4096", GA_F32, 16, 8, 128, 4096, 4096, kBackward},
    {"bf16 backward headwise S1024", GA_BF16, 16, 8, 128, 1024, 1024, kBackwardHeadwise},
    {"bf16 backward ungated S1024", GA_BF16, 16, 8, 128, 1024, 1024, kBackwardUngated},
    {"f32 backward headwise S1024", GA_F32, 16, 8, 128, 1024, 1024, kBackwardHeadwise},
    {"f32 backward ungated S1024", GA_F32, 16, 8, 128, 1024, 1024, kBackwardUngated},
    {"bf16 backward D64 S1024", GA_BF16, 16, 16, 64, 1024, 1024, kBackward},
    {"bf16 backward D256 S1024", GA_BF16, 16, 2, 256, 1024, 1024, kBackward},
    {"f32 backward D256 S1024", GA_F32, 16, 2, 256, 1024, 1024, kBackward},
};

struct Tensor {
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
    for (int64_t i = 0; i < count; i++) {  // about normal: the sum of four uniform numbers
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
  ga_tensor view() const { return {data, bytes, {stride[0], stride[1], stride[2], stride[3]}, dtype, 0}; }

  ga_dtype dtype;
  char *data = nullptr;
  int64_t bytes = 0;
  int64_t stride[4] = {};
};

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

void require(ga_status status, const ga_error &error) {
  if (status == GA_OK) return;
  std::fprintf(stderr, "%s: %s\n", ga_status_name(status), error.message);
  std::exit(1);
}

void measure(ga_runtime runtime, const Shape &s) {
  const Tensor q(s.dtype, s.seq_q, s.heads_q, s.head_dim, 1), k(s.dtype, s.seq_k, s.heads_kv, s.head_dim, 2),
      v(s.dtype, s.seq_k, s.heads_kv, s.head_dim, 3), gate(s.dtype, s.seq_q, s.heads_q, s.head_dim, 4),
      out(s.dtype, s.seq_q, s.heads_q, s.head_dim, 5);
  ga_attention_params p{};
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
  p.q = q.view();
  p.k = k.view();
  p.v = v.view();
  p.gate = gate.view();
  p.out = out.view();
  ga_error error{};
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  const bool backward = s.pass != kForward;
  // Only a backward row touches these.
  const int64_t rows = backward ? s.seq_q : 0, keys = backward ? s.seq_k : 0;
  const Tensor lse(GA_F32, rows, s.heads_q, 1, 6), dout(s.dtype, rows, s.heads_q, s.head_dim, 7),
      dq(s.dtype, rows, s.heads_q, s.head_dim, 8), dk(s.dtype, keys, s.heads_kv, s.head_dim, 9),
      dv(s.dtype, keys, s.heads_kv, s.head_dim, 10), dgate(s.dtype, rows, s.heads_q, s.head_dim, 11);
  ga_attention_backward_params g{};
  g.struct_size = sizeof g;
  if (backward) {
    p.lse = lse.view();
    g.dout = dout.view();
    g.dq = dq.view();
    g.dk = dk.view();
    g.dv = dv.view();
    g.dgate = dgate.view();
    if (s.pass == kBackwardHeadwise) p.gate.stride[3] = g.dgate.stride[3] = 0;
    if (s.pass == kBackwardUngated) p.gate = g.dgate = {};
    require(ga_attention_forward(runtime, &p, &error), error);
    require(ga_attention_backward_plan_for(runtime, &p, &g, &plan, &error), error);
  } else {
    require(ga_attention_plan_for(runtime, &p, &plan, &error), error);
  }
  const auto call = [&] {
    require(backward ? ga_attention_backward(runtime, &p, &g, &error) : ga_attention_forward(runtime, &p, &error), error);
  };
  const bool decode = s.seq_q == 1;
  const auto limit = [&] {
    if (decode)
      return s.seq_k * s.heads_kv * s.head_dim * 4 > (16 << 20) ? ga::bench::read_dram(kThreads)
                                                                : ga::bench::read_l3(kThreads);
    if (s.dtype != GA_BF16) return ga::bench::fma_f32(kThreads);
    const double tiles = ga::bench::amx_bf16(kThreads);
    return tiles > 0 ? tiles : ga::bench::dot_bf16(kThreads);
  };
  const double work = static_cast<double>(decode ? plan.bytes : plan.flop);
  std::vector<double> shares, times, limits;
  for (int round = 0; round < kRounds; round++) {
    const double peak = limit();
    std::vector<double> run;
    const double until = now_seconds() + 0.15;
    for (int warm = 0; warm < 3; warm++) call();
    do {
      const double start = now_seconds();
      call();
      run.push_back(now_seconds() - start);
    } while (now_seconds() < until || run.size() < 5);
    const double seconds = median(run);
    times.push_back(seconds);
    limits.push_back(peak);
    shares.push_back(work / seconds / peak);
  }
  std::printf(
      "%-30s %10.1f us  %7.1f %s  peak %7.1f  %5.1f %%  (best %5.1f %%)  %s\n", s.name, median(times) * 1e6,
      work / median(times) / 1e9, decode ? "GB/s    " : "GFLOP/s", median(limits) / 1e9, 100 * median(shares),
      100 * work / *std::min_element(times.begin(), times.end()) / *std::max_element(limits.begin(), limits.end()),
      plan.kernel);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string pattern = argc > 1 ? argv[1] : "";
  ga_runtime_options options{sizeof options, kThreads, GA_ISA_COUNT, GA_DEVICE_CPU, 0, nullptr};
  ga_runtime runtime = 0;
  ga_error error{};
  require(ga_runtime_create(&options, &runtime, &error), error);
  for (const Shape &s : kShapes)
    if (std::string(s.name).find(pattern) != std::string::npos) measure(runtime, s);
  require(ga_runtime_close(runtime, &error), error);
}
