// limits: prints what this machine can do at most, one JSON object per number of threads.
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "machine_limits.h"

int main(int argc, char **argv) {
  const int most = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  if (most < 1) {
    std::fprintf(stderr, "usage: limits [most threads]\n");
    return 2;
  }
  using namespace ga::bench;
  rate(most, [](int) {  // the first moments of several threads at once are slow
    const double end = now_seconds() + 0.3;
    while (now_seconds() < end) {
    }
    return 0.0;
  });
  for (int threads = 1; threads <= most; threads *= 2) {
    std::printf(
        "{\"threads\": %d, \"fma_f32_gflops\": %.1f, \"dot_bf16_gflops\": %.1f, \"read_dram_gbps\": %.1f, "
        "\"read_l3_gbps\": %.1f, \"read_l2_gbps\": %.1f}\n",
        threads, fma_f32(threads) / 1e9, dot_bf16(threads) / 1e9, read_dram(threads) / 1e9, read_l3(threads) / 1e9,
        read_l2(threads) / 1e9);
    std::fflush(stdout);
  }
}
