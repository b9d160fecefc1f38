// A small random generator whose sequence is the same on every platform and standard library.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace gatest {

// SplitMix64: any seed is a good one.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15U;
    uint64_t mixed = (state_ ^ (state_ >> 30)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
    return mixed ^ (mixed >> 31);
  }

  // 0 to limit - 1
  int64_t below(int64_t limit) { return static_cast<int64_t>(next() % static_cast<uint64_t>(limit)); }
  int64_t between(int64_t low, int64_t high) { return low + below(high - low + 1); }
  bool chance(double probability) { return unit() < probability; }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }

  template <typename T>
  T pick(std::initializer_list<T> choices) {
    return choices.begin()[below(static_cast<int64_t>(choices.size()))];
  }

  // Close to a normal distribution, cheaply: a sum of four uniform values with variance 1, at most 3.47 from 0.
  double normal() { return (unit() + unit() + unit() + unit() - 2) * 1.7320508075688772; }

 private:
  uint64_t state_;
};

// The seed of case number n of a series.
inline uint64_t case_seed(uint64_t series, int64_t n) { return Random(series + static_cast<uint64_t>(n)).next() >> 16; }

}  // namespace gatest
