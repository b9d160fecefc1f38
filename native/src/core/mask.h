// Which keys a query row sees. Every mask of the library is one contiguous range of keys per row.
#pragma once

#include "core/problem.h"

namespace ga {

struct KeyRange {
  int64_t lo, hi;  // keys [lo, hi); empty when lo >= hi
};

// Query i stands on key i + keys - queries: the last query meets the last key (bottom-right alignment).
// Both ends grow with i, which the kernels use: the first and last row of a block bound all rows between them.
static GA_ALWAYS_INLINE KeyRange visible_keys(const Problem &p, const Sequence &of, int64_t i) {
  const int64_t diagonal = i + of.keys - of.queries;
  KeyRange r = {0, of.keys};
  if (p.window_right >= 0 && diagonal + p.window_right + 1 < r.hi) r.hi = diagonal + p.window_right + 1;
  if (p.window_left >= 0 && diagonal - p.window_left > r.lo) r.lo = diagonal - p.window_left;
  if (r.hi < 0) r.hi = 0;
  if (r.lo > of.keys) r.lo = of.keys;
  return r;
}

}  // namespace ga
