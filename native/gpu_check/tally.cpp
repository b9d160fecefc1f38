#include "tally.h"

#include <cinttypes>
#include <cstdio>

namespace gpu_check {

std::string Tally::family_of(const std::string &kernel) {
  for (const char *type : {"_f32", "_bf16", "_f16", "_i8", "_d"}) {
    const size_t at = kernel.find(type);
    if (at != std::string::npos) return kernel.substr(0, at);
  }
  return kernel;
}

void Tally::held(const std::string &check, const std::string &family, const gatest::ErrorBalance &balance) {
  Row &row = rows_[{check, family}];
  ++row.held;
  row.balance.add(balance);
}

void Tally::refused(const std::string &check, const std::string &reason) { ++refusals_[{check, reason}]; }

void Tally::failed(const std::string &check, const std::string &family, const std::string &text) {
  ++rows_[{check, family}].failed;
  std::printf("  FAILED %s, %s: %s\n", check.c_str(), family.c_str(), text.c_str());
  std::fflush(stdout);
  file_.add(Record("failure").set("check", check).set("family", family).set("text", text));
}

int64_t Tally::cases() const {
  int64_t count = 0;
  for (const auto &[key, row] : rows_) count += row.held + row.failed;
  return count;
}

int64_t Tally::failures() const {
  int64_t count = 0;
  for (const auto &[key, row] : rows_) count += row.failed;
  return count;
}

void Tally::report() const {
  for (const auto &[key, row] : rows_) {
    const auto &[check, family] = key;
    const double mean = row.balance.elements > 0 ? row.balance.sum / row.balance.elements : 0;
    std::printf("  %-12s %-14s %6" PRId64 " held %4" PRId64
                " failed   worst error %.3f of its bound, mean signed %+.4f\n",
                check.c_str(), family.c_str(), row.held, row.failed, row.balance.largest, mean);
    file_.add(Record("correct")
                  .set("check", check)
                  .set("family", family)
                  .set("held", static_cast<double>(row.held))
                  .set("failed", static_cast<double>(row.failed))
                  .set("worst", row.balance.largest)
                  .set("mean", mean));
  }
  for (const auto &[key, count] : refusals_) {
    const auto &[check, reason] = key;
    std::printf("  %-12s %6" PRId64 " refused: %s\n", check.c_str(), count, reason.c_str());
    file_.add(Record("refused").set("check", check).set("reason", reason).set("cases", static_cast<double>(count)));
  }
  std::fflush(stdout);
}

}  // namespace gpu_check
