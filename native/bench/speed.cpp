// speed: the forward and the backward pass beside the machine's limits, measured in turns in the same run.
//
//   speed [pattern]     rows whose name contains the pattern; the share of the peak is of the median over rounds. A backward row
//                       counts the five products of all gradients, 2.5 times the forward's.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "machine_limits.h"
#include "workload.h"

namespace {

using namespace ga::bench;

constexpr int kThreads = 2, kRounds = 7;

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

void measure(ga_runtime runtime, const Shape &s) {
  Workload workload(runtime, s);
  const auto limit = [&] {
    if (s.decodes())
      return s.seq_k * s.heads_kv * s.head_dim * 4 > (16 << 20) ? ga::bench::read_dram(kThreads)
                                                                : ga::bench::read_l3(kThreads);
    if (s.dtype != GA_BF16) return ga::bench::fma_f32(kThreads);
    const double tiles = ga::bench::amx_bf16(kThreads);
    return tiles > 0 ? tiles : ga::bench::dot_bf16(kThreads);
  };
  const ga_attention_plan &plan = workload.plan();
  const double work = static_cast<double>(s.decodes() ? plan.bytes : plan.flop);
  std::vector<double> shares, times, limits;
  for (int round = 0; round < kRounds; round++) {
    limits.push_back(limit());
    times.push_back(median_seconds(workload));
    shares.push_back(work / times.back() / limits.back());
  }
  std::printf(
      "%-30s %10.1f us  %7.1f %s  peak %7.1f  %5.1f %%  (best %5.1f %%)  %s\n", s.name, median(times) * 1e6,
      work / median(times) / 1e9, s.decodes() ? "GB/s    " : "GFLOP/s", median(limits) / 1e9, 100 * median(shares),
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
