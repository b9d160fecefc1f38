// stages: where the time of calls goes, as JSON, one line per call: its time in nanoseconds and the share of each stage in the time of all
// threads. What is left was spent between stages: waiting for work or for each other, and in the call itself. Clocks between the
// stages make a call some percent slower than the library's, the more the shorter it is.
//
//   stages [threads]     default 2
#include "core/stage.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "machine_limits.h"
#include "workload.h"

namespace {

using namespace ga::bench;

constexpr Shape kShapes[] = {
    {"S128", GA_BF16, 16, 8, 128, 128, 128},
    {"S512", GA_BF16, 16, 8, 128, 512, 512},
    {"S1024", GA_BF16, 16, 8, 128, 1024, 1024},
    {"S4096", GA_BF16, 16, 8, 128, 4096, 4096},
    {"S128", GA_F32, 16, 8, 128, 128, 128},
    {"S512", GA_F32, 16, 8, 128, 512, 512},
    {"S1024", GA_F32, 16, 8, 128, 1024, 1024},
    {"S4096", GA_F32, 16, 8, 128, 4096, 4096},
    {"DECODE_512", GA_BF16, 16, 8, 128, 1, 512},
    {"DECODE_4096", GA_BF16, 16, 8, 128, 1, 4096},
    {"DECODE_32768", GA_BF16, 16, 8, 128, 1, 32768},
    {"DECODE_32768", GA_F32, 16, 8, 128, 1, 32768},
    {"BACKWARD_1024", GA_BF16, 16, 8, 128, 1024, 1024, kBackward},
    {"BACKWARD_1024", GA_F32, 16, 8, 128, 1024, 1024, kBackward},
};

constexpr const char *kNames[ga::kStages] = {
    "keys", "queries", "scores", "softmax", "values", "row_ends", "gradients_of_keys", "gradients_of_queries"};

struct alignas(64) Ticks {
  int64_t of[ga::kStages];
};

std::array<Ticks, 1024> all_ticks;  // by thread, as they come
std::atomic<size_t> threads_seen{0};

std::array<int64_t, ga::kStages> ticks_so_far() {
  std::array<int64_t, ga::kStages> sum{};
  for (size_t t = 0; t < threads_seen; t++)
    for (size_t p = 0; p < ga::kStages; p++) sum[p] += all_ticks[t].of[p];
  return sum;
}

void measure(ga_runtime runtime, int threads, const Shape &shape) {
  Workload workload(runtime, shape);
  const double nanos = median_seconds(workload) * 1e9;  // and all is warm
  const auto before = ticks_so_far();
  const int64_t begin = ga::clock_ticks();
  const double until = now_seconds() + 0.3;
  do workload.call();
  while (now_seconds() < until);
  const double all = static_cast<double>(ga::clock_ticks() - begin) * threads;
  const auto after = ticks_so_far();
  std::printf(R"({"workload": "%s", "type": "%s", "threads": %d, "nanos": %.0f)", shape.name,
              shape.dtype == GA_F32 ? "f32" : "bf16", threads, nanos);
  for (size_t p = 0; p < ga::kStages; p++)
    std::printf(R"(, "%s": %.4f)", kNames[p], static_cast<double>(after[p] - before[p]) / all);
  std::printf("}\n");
  std::fflush(stdout);
}

}  // namespace

int64_t *ga::stage_ticks() {
  thread_local const size_t own = threads_seen++;
  return all_ticks.at(own).of;
}

int main(int argc, char **argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  if (threads < 1) {
    std::fprintf(stderr, "usage: stages [threads]\n");
    return 2;
  }
  ga_runtime_options options{sizeof options, threads, GA_ISA_COUNT, GA_DEVICE_CPU, 0, nullptr};
  ga_runtime runtime = 0;
  ga_error error{};
  require(ga_runtime_create(&options, &runtime, &error), error);
  for (const Shape &shape : kShapes) measure(runtime, threads, shape);
  require(ga_runtime_close(runtime, &error), error);
}
