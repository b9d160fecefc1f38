#include "abi/overlap.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace ga {
namespace {

// One unknown of a sum: coefficient * x with lo <= x <= hi.
struct Term {
  int64_t coefficient, lo, hi;
};

using Terms = std::array<Term, 2 * Region::kAxes>;

// Is there a choice of all x such that from <= sum < to? Largest coefficients first: what the remaining terms can still
// reach leaves few candidates for each.
class Search {
 public:
  explicit Search(Terms terms) : terms_(terms) {
    std::sort(terms_.begin(), terms_.end(), [](const Term &a, const Term &b) { return a.coefficient > b.coefficient; });
  }

  bool reaches(int64_t from, int64_t to) { return step(0, from, to); }

 private:
  bool step(size_t i, int64_t from, int64_t to) {
    if (--budget_ < 0) return true;
    if (i == terms_.size()) return from <= 0 && 0 < to;
    const Term &t = terms_[i];
    if (t.coefficient == 0) return step(i + 1, from, to);
    int64_t rest_lo = 0, rest_hi = 0;
    for (size_t j = i + 1; j < terms_.size(); j++) {
      rest_lo += terms_[j].coefficient * terms_[j].lo;
      rest_hi += terms_[j].coefficient * terms_[j].hi;
    }
    const int64_t first = std::max(t.lo, ceil_quotient(from - rest_hi, t.coefficient));
    const int64_t last = std::min(t.hi, floor_quotient(to - 1 - rest_lo, t.coefficient));
    for (int64_t x = first; x <= last; x++)
      if (step(i + 1, from - t.coefficient * x, to - t.coefficient * x)) return true;
    return false;
  }
  static int64_t floor_quotient(int64_t a, int64_t b) { return a / b - (a % b < 0); }
  static int64_t ceil_quotient(int64_t a, int64_t b) { return -floor_quotient(-a, b); }

  Terms terms_;
  int budget_ = 20'000;
};

}  // namespace

int64_t Region::span() const {
  int64_t total = run_bytes;
  for (int a = 0; a < kAxes; a++) {
    if (extent[a] == 0) return 0;
    total += (extent[a] - 1) * stride[a];
  }
  return total;
}

bool overlaps(const Region &a, const Region &b) {
  const int64_t span_a = a.span(), span_b = b.span();
  if (span_a == 0 || span_b == 0) return false;
  const auto start_a = reinterpret_cast<uintptr_t>(a.base), start_b = reinterpret_cast<uintptr_t>(b.base);
  if (start_a + static_cast<uintptr_t>(span_a) <= start_b || start_b + static_cast<uintptr_t>(span_b) <= start_a)
    return false;
  const int64_t distance = static_cast<int64_t>(start_b - start_a);
  // Runs meet when  -b.run < distance + sum(b) - sum(a) < a.run. With y = extent - 1 - x, -sum(a) gets positive terms.
  Terms terms{};
  int64_t shift = distance;
  constexpr size_t n = Region::kAxes;
  for (size_t i = 0; i < n; i++) {
    terms[i] = {b.stride[i], 0, b.extent[i] - 1};
    terms[n + i] = {a.stride[i], 0, a.extent[i] - 1};
    shift -= a.stride[i] * (a.extent[i] - 1);
  }
  // Equal strides cancel: one unknown, the difference of the two indices, instead of two.
  for (size_t i = 0; i < n; i++)
    for (size_t j = n; j < 2 * n; j++)
      if (terms[i].coefficient != 0 && terms[i].coefficient == terms[j].coefficient) {
        terms[i].hi += terms[j].hi;
        terms[j] = {0, 0, 0};
      }
  return Search(terms).reaches(-b.run_bytes + 1 - shift, a.run_bytes - shift);
}

bool overlaps_itself(const Region &a) {
  if (a.span() == 0) return false;
  std::array<int, Region::kAxes> order = {0, 1, 2, 3};
  std::sort(order.begin(), order.end(), [&](int x, int y) { return a.stride[x] < a.stride[y]; });
  int64_t inner = a.run_bytes;  // bytes that the axes so far span
  for (const int axis : order) {
    if (a.extent[axis] == 1) continue;
    if (a.stride[axis] < inner) return true;  // not nested: refused even in the rare layouts where runs would interleave
    inner += a.stride[axis] * (a.extent[axis] - 1);
  }
  return false;
}

}  // namespace ga
