#include "report.h"

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <map>

#include "cells.h"

namespace gpu_check {
namespace {

[[gnu::format(printf, 1, 2)]] std::string format(const char *how, ...) {
  char text[1024];
  std::va_list values;
  va_start(values, how);
  std::vsnprintf(text, sizeof text, how, values);
  va_end(values);
  return text;
}

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

Records of(const Records &records, const std::string &stage) {
  Records result;
  std::copy_if(records.begin(), records.end(), std::back_inserter(result),
               [&](const Record &r) { return r.text("stage") == stage; });
  return result;
}

Record machine(const Records &records) {
  const Records found = of(records, "machine");
  return found.empty() ? Record() : found.back();
}

std::string machine_line(const Records &records) {
  const Record m = machine(records);
  if (!m.has("name")) return "the device is not known";
  std::string line = m.text("name");
  if (m.has("compute_capability"))
    line += format(", compute capability %.1f, %.0f multiprocessors, %.0f GiB, CUDA %s (driver: %s)",
                   m.number("compute_capability") / 10, m.number("multiprocessors"), m.number("memory_gib"),
                   m.text("cuda").c_str(), m.text("driver").c_str());
  return line;
}

// The larger of what was measured: 0 when nothing was.
double ceiling(const Records &records, const std::string &name) {
  double best = 0;
  for (const Record &r : of(records, "ceiling"))
    if (r.text("name") == name) best = std::max(best, r.number("rate"));
  return best;
}

// A cell of the table of times, from its records.
struct Timed {
  const Cell *cell;
  double us = 0, rate = 0;           // element-wise
  double none = 0, head_wise = 0;    // microseconds
  double ungated = 0, compiled = 0;  // the fastest of PyTorch's, microseconds
  std::string ungated_by, compiled_by;
  double error = 0;
  std::string kernel;

  double over(double theirs, double ours) const { return theirs > 0 && ours > 0 ? theirs / ours : 0; }
};

std::vector<Timed> timed_cells(const Records &records) {
  std::vector<Timed> result;
  for (const Cell &cell : cells()) {
    Timed t;
    t.cell = &cell;
    for (const Record &r : records) {
      if (r.text("cell") != cell.name) continue;
      if (r.text("stage") == "cell") {
        t.error = r.number("error");
        t.kernel = r.text("kernel");
      }
      if (r.text("stage") != "time") continue;
      const double us = r.number("us");
      const std::string gate = r.text("gate"), by = r.text("implementation");
      if (by == "library") {
        if (gate == "none") t.none = us;
        if (gate == "head-wise") t.head_wise = us;
        if (gate == "element-wise") {
          t.us = us;
          t.rate = r.number("rate");
        }
      } else if (gate == "none" && (t.ungated == 0 || us < t.ungated)) {
        t.ungated = us;
        t.ungated_by = by;
      } else if (gate == "compiled" && (t.compiled == 0 || us < t.compiled)) {
        t.compiled = us;
        t.compiled_by = by;
      }
    }
    if (t.us > 0) result.push_back(t);
  }
  std::stable_sort(result.begin(), result.end(),
                   [](const Timed &a, const Timed &b) { return a.cell->decode() < b.cell->decode(); });
  return result;
}

// A figure beside its goal: "!" where it is missed.
std::string beside(const char *how, double value, double goal, bool less_is_better = false) {
  if (value <= 0) return goal > 0 ? "- (" + format(how, goal) + ")" : "-";
  std::string text = format(how, value);
  if (goal <= 0) return text;
  const bool missed = less_is_better ? value > goal : value < goal;
  return text + (missed ? "!" : "") + " (" + format(how, goal) + ")";
}

// The goals in TFLOP/s, TB/s and microseconds are one H100's.
bool has_own_goals(const Records &records) { return machine(records).text("name").find("H100") != std::string::npos; }

std::vector<std::string> columns(const Timed &t, const Records &records) {
  const bool own = has_own_goals(records), gate_goals = t.cell->seq_q >= kGateGoalFrom;
  const double most = ceiling(records, t.cell->decode() ? "copy" : "matmul");
  const char *rate = t.cell->decode() ? "%.2f" : "%.0f";
  return {
      t.cell->name,
      beside("%.1f", t.us, own ? t.cell->microseconds : 0, true),
      beside(rate, t.rate, own ? t.cell->rate : 0) + (t.cell->decode() ? " TB/s" : " TF/s"),
      most > 0 ? format("%.0f %%", 100 * t.rate / most) : "-",
      beside("%.3f", t.over(t.us, t.none), gate_goals ? kElementWiseGoal : 0, true),
      beside("%.3f", t.over(t.head_wise, t.none), gate_goals ? kHeadWiseGoal : 0, true),
      beside("%.2f", t.over(t.ungated, t.none), t.cell->ungated),
      beside("%.2f", t.over(t.compiled, t.us), t.cell->compiled),
  };
}

const std::vector<std::string> kHeads = {
    "cell", "us", "rate", "of max", "gate: per elem.", "gate: per head", "x PyTorch bare", "x, gate compiled"};

// Cases and worst error of each family of kernels, over all checks.
struct Family {
  double held = 0, failed = 0, worst = 0;
};

std::map<std::string, Family> families(const Records &records) {
  std::map<std::string, Family> result;
  for (const Record &r : of(records, "correct")) {
    Family &f = result[r.text("family")];
    f.held += r.number("held");
    f.failed += r.number("failed");
    f.worst = std::max(f.worst, r.number("worst"));
  }
  return result;
}

double refusals(const Records &records) {
  double count = 0;
  for (const Record &r : of(records, "refused")) count += r.number("cases");
  return count;
}

std::string shortened(std::string text, size_t most) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.size() <= most ? text : text.substr(0, most - 3) + "...";
}

std::string in_cell(std::string text) {  // of a Markdown table
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '|', '/');
  return text;
}

}  // namespace

bool all_held(const Records &records) {
  const Records results = of(records, "result");
  return !results.empty() &&
         std::none_of(results.begin(), results.end(), [](const Record &r) { return r.text("outcome") == "failed"; });
}

std::string table(const Records &records) {
  std::string text = shortened("gpu-check: " + machine_line(records), 118) + "\n";
  const double matmul = ceiling(records, "matmul"), copy = ceiling(records, "copy");
  if (matmul > 0 || copy > 0) text += format("ceilings: matmul %.0f TFLOP/s, copy %.2f TB/s\n", matmul, copy);
  for (const Record &r : of(records, "result"))
    text += shortened(padded(r.text("name"), 9) + padded(r.text("outcome"), 8) +
                          format("%5.0f s  ", r.number("seconds")) + r.text("note"),
                      118) +
            "\n";
  std::string kernels;
  for (const auto &[name, f] : families(records))
    kernels +=
        format("%s%s %.0f/%.0f, %.2f", kernels.empty() ? "" : "; ", name.c_str(), f.held, f.held + f.failed, f.worst);
  if (!kernels.empty())
    text += shortened("held of cases, worst error of its bound: " + kernels, 118) + "\n" +
            format("refused: %.0f cases, by reason in gpu-check.md\n", refusals(records));
  const Records failures = of(records, "failure");
  for (size_t n = 0; n < std::min<size_t>(2, failures.size()); ++n)
    text += shortened("FAILED: " + failures[n].text("check") + ", " + failures[n].text("family") + ": " +
                          failures[n].text("text"),
                      118) +
            "\n";
  const std::vector<Timed> cells = timed_cells(records);
  if (cells.empty()) return text;
  const std::vector<size_t> widths = {23, 12, 17, 7, 15, 15, 13, 13};
  const std::vector<std::string> heads = {"cell",      "us (goal)", "rate (goal)", "of max",
                                          "gate/elem", "gate/head", "x bare",      "x gated"};
  const auto line = [&](const std::vector<std::string> &row) {
    std::string result;
    for (size_t n = 0; n < row.size(); ++n) result += padded(row[n], widths[n]);
    return result.substr(0, result.find_last_not_of(' ') + 1) + "\n";
  };
  text += line(heads);
  for (const Timed &t : cells) text += line(columns(t, records));
  return text;
}

std::string markdown(const Records &records) {
  std::string text = "# gpu-check\n\n" + machine_line(records) + "\n\n";
  const Record m = machine(records);
  if (m.has("commit")) text += "Sources: " + m.text("commit") + ". ";
  if (m.has("date")) text += "Run: " + m.text("date") + ".\n\n";
  text += "| stage | outcome | seconds | |\n|---|---|--:|---|\n";
  for (const Record &r : of(records, "result"))
    text += "| " + r.text("name") + " | " + r.text("outcome") + format(" | %.0f | ", r.number("seconds")) +
            in_cell(r.text("note")) + " |\n";

  const Records correct = of(records, "correct");
  if (!correct.empty()) {
    text += "\n## Against float64\n\n";
    text += "The worst error is a share of the bound that each element has; the mean is of signed errors, likewise.\n\n";
    text += "| check | kernels | held | failed | worst error | mean |\n|---|---|--:|--:|--:|--:|\n";
    for (const Record &r : correct)
      text += "| " + r.text("check") + " | " + r.text("family") +
              format(" | %.0f | %.0f | %.3f | %+.4f |\n", r.number("held"), r.number("failed"), r.number("worst"),
                     r.number("mean"));
  }
  const Records refused = of(records, "refused");
  if (!refused.empty()) {
    text += "\nRefused by the library, or not checked:\n\n| check | cases | reason |\n|---|--:|---|\n";
    for (const Record &r : refused)
      text += "| " + r.text("check") + format(" | %.0f | ", r.number("cases")) + in_cell(r.text("reason")) + " |\n";
  }
  const Records failures = of(records, "failure");
  if (!failures.empty()) {
    text += "\n## Failures\n\n";
    for (const Record &r : failures)
      text += "- " + r.text("check") + ", " + r.text("family") + ": " + in_cell(r.text("text")) + "\n";
  }

  const std::vector<Timed> cells = timed_cells(records);
  if (!cells.empty()) {
    text += "\n## Times\n\n";
    for (const Record &r : of(records, "ceiling"))
      text += format("- ceiling: %s by %s: %.4g %s\n", r.text("name").c_str(), r.text("by").c_str(), r.number("rate"),
                     r.text("name") == "copy" ? "TB/s" : "TFLOP/s");
    for (const Record &r : of(records, "peers"))
      text +=
          r.has("absent") ? "- no PyTorch beside it: " + r.text("absent") + "\n" : "- beside " + r.text("version") + "\n";
    text +=
        "\nbf16, element-wise sigmoid gate unless said. In parentheses the goal, `!` where it is missed. The gate's "
        "columns are times of the "
        "ungated call; the last two say how many times as fast as the best of PyTorch's attention this is, neither "
        "gated, and "
        "both gated.\n\n|";
    for (const std::string &head : kHeads) text += " " + head + " |";
    text += "\n|---|--:|--:|--:|--:|--:|--:|--:|\n";
    for (const Timed &t : cells) {
      text += "|";
      for (const std::string &column : columns(t, records)) text += " " + column + " |";
      text += "\n";
    }
    text += "\n| cell | implementation | gate | us | fastest, slowest round | rate |\n|---|---|---|--:|---|--:|\n";
    for (const Record &r : of(records, "time"))
      text += "| " + r.text("cell") + " | " + r.text("implementation") + " | " + r.text("gate") +
              format(" | %.1f | %.1f, %.1f | %.4g |\n", r.number("us"), r.number("fastest"), r.number("slowest"),
                     r.number("rate"));
    text += "\n| cell | kernel | worst error of sampled rows | sets of operands | in a graph |\n|---|---|--:|--:|---|\n";
    for (const Record &r : of(records, "cell"))
      text += "| " + r.text("cell") + " | " + r.text("kernel") +
              format(" | %.2f | %.0f | %s |\n", r.number("error"), r.number("sets"), r.flag("graph") ? "yes" : "no");
  }
  const Records absent = of(records, "absent");
  if (!absent.empty()) {
    text += "\nNot timed:\n\n| cell | implementation | gate | reason |\n|---|---|---|---|\n";
    for (const Record &r : absent)
      text += "| " + r.text("cell") + " | " + r.text("implementation") + " | " + r.text("gate") + " | " +
              in_cell(r.text("reason")) + " |\n";
  }
  const Records java = of(records, "java");
  if (!java.empty()) {
    text += "\n## Java\n\n| check | result |\n|---|---|\n";
    for (const Record &r : java) text += "| " + r.text("check") + " | " + in_cell(r.text("text")) + " |\n";
  }
  return text;
}

std::string json(const Records &records) {
  std::string text = "[\n";
  for (size_t n = 0; n < records.size(); ++n) text += "  " + records[n].json() + (n + 1 < records.size() ? ",\n" : "\n");
  return text + "]\n";
}

}  // namespace gpu_check
