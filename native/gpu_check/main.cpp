// gpu_check: what ./ga gpu-check runs, through the C ABI alone. See docs/gpu-check.md.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "device.h"
#include "driver.h"
#include "environment.h"
#include "record.h"
#include "report.h"
#include "series.h"
#include "tally.h"
#include "timing.h"

namespace {

using namespace gpu_check;

constexpr const char *kUsage =
    "usage: gpu_check describe|correct|sanitize|time [OPTION]...   or: gpu_check report OUT FILE...\n"
    "  --library PATH   libgatedattention_cuda.so; default: beside the other library\n"
    "  --records FILE   where what is found is appended, a JSON object a line\n"
    "  --golden DIR     reference vectors\n"
    "  --family NAME    calls are computed by this family of kernels or refused\n"
    "  --cases N        random cases (default 600)\n"
    "  --budget N       multiply-adds of a random case at most (default 4000000)\n"
    "  --peers COMMAND  what starts scripts/gpu_peers.py\n"
    "  --seconds N      time: cells that would begin later are left out (default 180)\n"
    "  --tiny           time: small shapes, for a test on a CPU\n";

struct Arguments {
  std::string command, library, records, golden, family, peers;
  int64_t cases = 600, budget = 4'000'000, seconds = 180;
  bool tiny = false;
  std::vector<std::string> files;
};

int64_t number(const std::string &option, const char *text) {
  char *end = nullptr;
  const long long value = std::strtoll(text, &end, 10);
  if (end == text || *end != '\0' || value < 1)
    throw std::invalid_argument(option + " is " + text + ", not a number from 1 on");
  return value;
}

Arguments parse(int count, char **values) {
  Arguments a;
  if (count < 2) throw std::invalid_argument("a command is missing");
  a.command = values[1];
  for (int n = 2; n < count; ++n) {
    const std::string option = values[n];
    if (a.command == "report") {
      a.files.push_back(option);
      continue;
    }
    if (option == "--tiny") {
      a.tiny = true;
      continue;
    }
    if (n + 1 == count) throw std::invalid_argument(option + " is unknown, or lacks its value");
    const char *value = values[++n];
    if (option == "--library")
      a.library = value;
    else if (option == "--records")
      a.records = value;
    else if (option == "--golden")
      a.golden = value;
    else if (option == "--family")
      a.family = value;
    else if (option == "--peers")
      a.peers = value;
    else if (option == "--cases")
      a.cases = number(option, value);
    else if (option == "--budget")
      a.budget = number(option, value);
    else if (option == "--seconds")
      a.seconds = number(option, value);
    else
      throw std::invalid_argument("there is no option " + option);
  }
  return a;
}

std::string version(int32_t number) { return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10); }

void describe(const Device &device, RecordFile &file) {
  const ga_runtime_info &info = device.info();
  const double gib = static_cast<double>(info.memory_bytes) / (1 << 30);
  std::printf("  %s, compute capability %d.%d, %d multiprocessors, %.0f GiB; %s\n", info.device_name,
              info.compute_capability / 10, info.compute_capability % 10, info.multiprocessors, gib, ga_build_info());
  file.add(Record("machine")
               .set("name", info.device_name)
               .set("compute_capability", static_cast<double>(info.compute_capability))
               .set("multiprocessors", static_cast<double>(info.multiprocessors))
               .set("memory_gib", gib)
               .set("driver", version(info.driver_version))
               .set("cuda", version(info.runtime_version))
               .set("build", ga_build_info())
               .set("commit", std::getenv("GA_COMMIT") ? std::getenv("GA_COMMIT") : "not known")
               .set("date", std::getenv("GA_DATE") ? std::getenv("GA_DATE") : "not known"));
}

bool correct(const Device &device, const Arguments &a, RecordFile &file) {
  Tally tally(file);
  const Scope scope{Guards::kKnownBytes, a.family, a.cases, a.budget};
  const bool alive = check_refusals(device, scope, tally) && check_grid(device, scope, tally) &&
                     (a.golden.empty() || check_golden(device, a.golden, scope, tally)) &&
                     check_sequences(device, scope, tally) && check_graphs(device, scope, tally) &&
                     check_merges(device, scope, tally) && check_projections(device, scope, tally) &&
                     check_random(device, scope, tally);
  tally.report();
  if (!alive) std::printf("  the checks after this one were not run\n");
  return alive && tally.failures() == 0 && tally.cases() > 0;
}

// Little, since a checker of memory or races slows a kernel down a hundredfold.
bool sanitize(const Device &device, const Arguments &a, RecordFile &file) {
  Tally tally(file);
  const Scope scope{Guards::kNone, a.family, std::min<int64_t>(a.cases, 24), std::min<int64_t>(a.budget, 400'000)};
  const bool alive = check_grid(device, scope, tally) && check_sequences(device, scope, tally) &&
                     check_merges(device, scope, tally) && check_random(device, scope, tally);
  std::printf("  %" PRId64 " cases, %" PRId64 " failed\n", tally.cases(), tally.failures());
  return alive && tally.failures() == 0;
}

void write(const std::string &path, const std::string &text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

bool report(const Arguments &a) {
  if (a.files.size() < 2) throw std::invalid_argument("report needs a folder and at least one file of records");
  Records all;
  for (size_t n = 1; n < a.files.size(); ++n)
    for (const Record &record : read_records(a.files[n])) all.push_back(record);
  write(a.files[0] + "/gpu-check.json", json(all));
  write(a.files[0] + "/gpu-check.md", markdown(all));
  std::fputs(table(all).c_str(), stdout);
  return all_held(all);
}

}  // namespace

// 0: all held; 1: something did not; 2: bad arguments
int main(int count, char **values) {
  try {
    const Arguments a = parse(count, values);
    if (a.command == "report") return report(a) ? 0 : 1;
    if (a.command != "describe" && a.command != "correct" && a.command != "sanitize" && a.command != "time")
      throw std::invalid_argument("there is no command " + a.command);
    gatest::report_fatal_signals();
    if (!a.family.empty()) setenv("GA_CUDA_FAMILY", a.family.c_str(), 1);  // before the library reads it
    RecordFile file(a.records);
    const Device device(a.library.empty() ? nullptr : a.library.c_str());
    bool held = true;
    if (a.command == "describe") describe(device, file);
    if (a.command == "correct") held = correct(device, a, file);
    if (a.command == "sanitize") held = sanitize(device, a, file);
    if (a.command == "time") held = time_cells(device, {a.peers, static_cast<double>(a.seconds), a.tiny}, file);
    return held ? 0 : 1;
  } catch (const std::invalid_argument &e) {
    std::fprintf(stderr, "gpu_check: %s\n%s", e.what(), kUsage);
    return 2;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "gpu_check: %s\n", e.what());
    return 1;
  }
}
