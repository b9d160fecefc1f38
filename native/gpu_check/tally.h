// What became of the cases: per check and family of kernels how many, how far from float64; refusals by reason; failures.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "instance.h"
#include "record.h"

namespace gpu_check {

class Tally {
 public:
  explicit Tally(RecordFile &file) : file_(file) {}

  // "decode" of "decode_bf16_d128", "forward_mma" of "forward_mma_bf16_d64"
  static std::string family_of(const std::string &kernel);

  void held(const std::string &check, const std::string &family, const gatest::ErrorBalance &balance);
  void refused(const std::string &check, const std::string &reason);
  void failed(const std::string &check, const std::string &family, const std::string &text);

  int64_t cases() const;
  int64_t failures() const;
  bool too_many() const { return failures() >= 20; }  // the rest would say the same

  // Prints a table and adds a record for each row of it.
  void report() const;

 private:
  struct Row {
    int64_t held = 0, failed = 0;
    gatest::ErrorBalance balance;
  };
  RecordFile &file_;
  std::map<std::pair<std::string, std::string>, Row> rows_;
  std::map<std::pair<std::string, std::string>, int64_t> refusals_;
};

}  // namespace gpu_check
