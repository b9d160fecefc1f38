// Do two strided views share a byte? Views of one buffer may interleave (query, gate and output of one projection), so
// comparing first and last addresses is not enough.
#pragma once

#include <cstdint>

namespace ga {

// Runs of run_bytes bytes at base + sum of stride[a] * i[a] for 0 <= i[a] < extent[a].
struct Region {
  static constexpr int kAxes = 4;
  const char *base = nullptr;
  int64_t extent[kAxes] = {};
  int64_t stride[kAxes] = {};  // bytes, >= 0
  int64_t run_bytes = 0;
  int64_t span() const;  // bytes from base to the end of the last run; 0 when empty
};

// Exact for the layouts that occur; where deciding would take long, says true.
bool overlaps(const Region &a, const Region &b);
// Whether two index tuples of one region touch the same byte.
bool overlaps_itself(const Region &a);

}  // namespace ga
