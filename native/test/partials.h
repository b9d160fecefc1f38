// A call whose keys are split: partial results of a forward call on each part, in watched memory, and the call that merges them.
#pragma once

#include <cstdint>
#include <vector>

#include "instance.h"

namespace gatest {

// Whether the keys of the case can be split into slices: what a row sees of a slice must again be a mask.
bool can_split(const Case &c);

// The first key of each of 2 to 5 parts, and the end of the last; some may be empty.
std::vector<int64_t> random_parts(const Case &c);

class Partials {
 public:
  // Partials are of the case's type, a gap apart that holds NaN.
  Partials(const Instance &whole, std::vector<int64_t> borders);

  // Runs forward, without gate and sink, on each part. The error's message, or empty.
  std::string run(ga_runtime runtime);

  // Merges into the outputs of the whole, with its gate and sink.
  ga_merge_params params{};

  std::byte *out(size_t part) const;
  float *lse(size_t part) const;
  size_t count() const { return borders_.size() - 1; }
  std::string untouched() const;
  void take_snapshot();

 private:
  const Instance &whole_;
  std::vector<int64_t> borders_;
  Block out_, lse_;
};

}  // namespace gatest
