// limits: prints what this machine can do at most, as JSON.
//
//   limits [most threads]   one object per number of threads: 1, 2, 4, ...
//   limits --serve          one object per line of standard input, so that limits can be measured between other things:
//                           "fma_f32 THREADS", "dot_bf16 THREADS", "amx_bf16 THREADS" or "read BYTES THREADS", the last with a working set
//                           of BYTES for all threads together; in 1e9 FLOP or bytes per second, 0 where there is none
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "machine_limits.h"

using namespace ga::bench;

namespace {

void warm(int threads, double seconds) {  // the first moments of several threads at once are slow
  rate(threads, [=](int) {
    const double end = now_seconds() + seconds;
    while (now_seconds() < end) {
    }
    return 0.0;
  });
}

void answer(const char *limit, double per_second) {
  std::printf("{\"limit\": \"%s\", \"giga_per_second\": %.2f}\n", limit, per_second / 1e9);
  std::fflush(stdout);
}

int serve() {
  char line[128];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    line[std::strcspn(line, "\n")] = 0;
    int threads = 0;
    int64_t bytes = 0;
    if (std::sscanf(line, "fma_f32 %d", &threads) == 1 && threads > 0) {
      warm(threads, 0.05);
      answer(line, fma_f32(threads));
    } else if (std::sscanf(line, "dot_bf16 %d", &threads) == 1 && threads > 0) {
      warm(threads, 0.05);
      answer(line, dot_bf16(threads));
    } else if (std::sscanf(line, "amx_bf16 %d", &threads) == 1 && threads > 0) {
      warm(threads, 0.05);
      answer(line, amx_bf16(threads));
    } else if (std::sscanf(line, "read %" SCNd64 " %d", &bytes, &threads) == 2 && threads > 0 && bytes > 0) {
      warm(threads, 0.05);
      answer(line, read_bytes(threads, bytes));
    } else {
      std::printf("{\"error\": \"not understood\"}\n");
      std::fflush(stdout);
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  if (argc == 2 && std::strcmp(argv[1], "--serve") == 0) return serve();
  const int most = argc > 1 ? std::atoi(argv[1]) : static_cast<int>(std::thread::hardware_concurrency());
  if (most < 1) {
    std::fprintf(stderr, "usage: limits [most threads] | --serve\n");
    return 2;
  }
  warm(most, 0.3);
  for (int threads = 1; threads <= most; threads *= 2) {
    std::printf(
        "{\"threads\": %d, \"fma_f32_gflops\": %.1f, \"dot_bf16_gflops\": %.1f, \"amx_bf16_gflops\": %.1f, "
        "\"read_dram_gbps\": %.1f, "
        "\"read_l3_gbps\": %.1f, \"read_l2_gbps\": %.1f}\n",
        threads, fma_f32(threads) / 1e9, dot_bf16(threads) / 1e9, amx_bf16(threads) / 1e9, read_dram(threads) / 1e9,
        read_l3(threads) / 1e9, read_l2(threads) / 1e9);
    std::fflush(stdout);
  }
}
