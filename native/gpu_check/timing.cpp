#include "timing.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <vector>

#include "cells.h"
#include "driver.h"
#include "peers.h"
#include "tally.h"
#include "timed_call.h"

namespace gpu_check {
namespace {

constexpr int kRounds = 3;
constexpr double kTurnMilliseconds = 20;
constexpr GateKind kGates[] = {GateKind::kNone, GateKind::kHeadWise, GateKind::kElementWise};

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The fastest of some: a ceiling is what the device can do.
double fastest(const Device &device, const Driver &driver, const std::function<void(void *)> &enqueue) {
  const Stream stream(device);
  Timer timer(driver, stream.handle(), [&] { stream.synchronize(); });
  double best = timer.microseconds([&] { enqueue(stream.handle()); });
  for (int n = 0; n < 8; ++n) best = std::min(best, timer.microseconds([&] { enqueue(stream.handle()); }));
  return best;
}

void measure_ceilings(const Device &device, const Driver &driver, Arena &arena, bool tiny, RecordFile &file) {
  const auto add = [&](const char *name, const char *by, double rate, const char *unit) {
    std::printf("  ceiling: %s by %s %.4g %s\n", name, by, rate, unit);
    file.add(Record("ceiling").set("name", name).set("by", by).set("rate", rate));
  };
  const int64_t side = tiny ? 32 : 8192, bytes = side * side * 2,
                copied = tiny ? 1 << 16 : std::min<int64_t>(arena.bytes() / 4, 1 << 30);
  arena.reset();
  std::byte *from = arena.take_input(copied), *to = arena.take_output(copied);
  const auto copy = [&](void *stream) {
    ga_error error{};
    require(ga_memory_copy(device.runtime(), to, from, copied, stream, &error, nullptr, nullptr), error);
  };
  if (to) add("copy", "ga_memory_copy", 2e-6 * static_cast<double>(copied) / fastest(device, driver, copy), "TB/s");
  arena.reset();
  const auto matrix = [&](std::byte *data) { return ga_tensor{data, bytes, {0, side, 0, 1}, GA_BF16, 0}; };
  ga_project_params p{};
  p.struct_size = sizeof p;
  p.rows = side;
  p.in_features = p.out_features = static_cast<int32_t>(side);
  p.in = matrix(arena.take_input(bytes));
  p.weight = matrix(arena.take_input(bytes));
  p.out = matrix(arena.take_output(bytes));
  if (!p.weight.data || !p.out.data) return;
  const auto product = [&](void *stream) {
    ga_error error{};
    p.stream = stream;
    require(ga_project(device.runtime(), &p, &error, nullptr, nullptr, nullptr, nullptr), error);
  };
  try {
    const double flop = 2.0 * static_cast<double>(side * side) * static_cast<double>(side);
    add("matmul", "ga_project", 1e-6 * flop / fastest(device, driver, product), "TFLOP/s");
  } catch (const std::exception &e) {
    std::printf("  no ceiling by ga_project: %s\n", e.what());
  }
}

Record question(const Cell &cell, int64_t sets) {
  return Record()
      .set("ask", "cell")
      .set("batch", static_cast<double>(cell.batch))
      .set("seq_q", static_cast<double>(cell.seq_q))
      .set("seq_k", static_cast<double>(cell.seq_k))
      .set("heads_q", static_cast<double>(cell.heads_q))
      .set("heads_kv", static_cast<double>(cell.heads_kv))
      .set("head_dim", static_cast<double>(cell.head_dim))
      .set("causal", cell.causal && !cell.decode())
      .set("sets", static_cast<double>(sets));
}

// The times of everyone who takes part in a cell, per round; the name is "implementation, gate".
using Times = std::map<std::pair<std::string, std::string>, std::vector<double>>;

bool time_cell(const Device &device, const Driver &driver, const Cell &cell, Arena &arena, Peers &peers,
               RecordFile &file) {
  const int64_t l2_bytes = driver.absent() ? 0 : driver.l2_bytes();
  const CellOperands operands(device, cell, arena, l2_bytes);
  const double error = operands.sampled_error(device);
  std::vector<std::unique_ptr<TimedCall>> own;
  for (const GateKind gate : kGates) own.push_back(std::make_unique<TimedCall>(device, driver, operands.params(gate)));
  for (const Record &answer : peers.ask(question(cell, operands.sets()), 120))
    if (answer.has("refused"))
      file.add(Record("absent")
                   .set("cell", cell.name)
                   .set("implementation", answer.text("implementation"))
                   .set("gate", answer.text("gate"))
                   .set("reason", answer.text("refused")));
  Times times;
  for (int round = 0; round < kRounds; ++round) {
    for (size_t n = 0; n < own.size(); ++n)
      times[{"library", name_of(kGates[n])}].push_back(own[n]->turn(kTurnMilliseconds));
    for (const Record &answer : peers.ask(Record().set("ask", "turn").set("milliseconds", kTurnMilliseconds), 60))
      times[{answer.text("implementation"), answer.text("gate")}].push_back(answer.number("us"));
  }
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error failure{};
  const ga_attention_params gated = operands.params(GateKind::kElementWise).front();
  require(ga_attention_plan_for(device.runtime(), &gated, &plan, &failure), failure);
  const double work = static_cast<double>(cell.decode() ? plan.bytes : plan.flop) * 1e-6;
  for (const auto &[who, rounds] : times) {
    const double us = median(rounds);
    file.add(Record("time")
                 .set("cell", cell.name)
                 .set("implementation", who.first)
                 .set("gate", who.second)
                 .set("us", us)
                 .set("fastest", *std::min_element(rounds.begin(), rounds.end()))
                 .set("slowest", *std::max_element(rounds.begin(), rounds.end()))
                 .set("rate", work / us));
  }
  const double us = median(times[{"library", "element-wise"}]);
  file.add(Record("cell")
               .set("cell", cell.name)
               .set("kernel", plan.kernel)
               .set("error", error)
               .set("sets", static_cast<double>(operands.sets()))
               .set("graph", own.front()->in_graph()));
  std::printf("  %-23s %9.1f us %8.4g %s   worst error %.2f of its bound   %s\n", cell.name, us, work / us,
              cell.decode() ? "TB/s   " : "TFLOP/s", error, plan.kernel);
  std::fflush(stdout);
  if (error <= 1) return true;
  file.add(
      Record("failure")
          .set("check", "time")
          .set("family", Tally::family_of(plan.kernel))
          .set("text", std::string(cell.name) + ": a row is wrong by " + std::to_string(error) + " times its bound"));
  return false;
}

}  // namespace

bool time_cells(const Device &device, const TimingOptions &options, RecordFile &file) {
  const double start = seconds_now();
  const Driver driver;
  if (driver.absent()) std::printf("  no events and no graphs, the host's clock instead: %s\n", driver.absent());
  constexpr int64_t kMost = int64_t{6} << 30;
  const int64_t arena_bytes = options.tiny ? 1 << 22 : std::min(kMost, device.free_bytes() * 4 / 10) / 256 * 256;
  Arena arena(device, arena_bytes);
  measure_ceilings(device, driver, arena, options.tiny, file);
  Peers peers(options.peers);
  if (peers.present()) {
    std::printf("  beside %s\n", peers.about().text("version").c_str());
    file.add(Record("peers").set("version", peers.about().text("version")));
    for (const Record &answer : peers.ask(Record().set("ask", "ceilings"), 60)) {
      std::printf("  ceiling: %s by PyTorch %.4g\n", answer.text("name").c_str(), answer.number("rate"));
      file.add(
          Record("ceiling").set("name", answer.text("name")).set("by", "PyTorch").set("rate", answer.number("rate")));
    }
  } else {
    std::printf("  without PyTorch beside it: %s\n", peers.absent().c_str());
  }
  bool held = true;
  for (const Cell &given : cells()) {
    const Cell cell = options.tiny ? tiny(given) : given;
    const double spent = seconds_now() - start;
    std::string reason = spent > options.seconds ? "there was no time left" : "";
    if (reason.empty()) {
      try {
        held &= time_cell(device, driver, cell, arena, peers, file);
      } catch (const std::exception &e) {
        reason = e.what();
        held = false;
      }
    }
    if (reason.empty()) continue;
    std::printf("  %-23s not timed: %s\n", cell.name, reason.c_str());
    file.add(Record("absent").set("cell", cell.name).set("implementation", "library").set("reason", reason));
  }
  if (!peers.present()) file.add(Record("peers").set("absent", peers.absent()));
  return held;
}

}  // namespace gpu_check
