// The calls that are timed, and what each should reach. The library's goals are for one H100.
#pragma once

#include <cstdint>
#include <vector>

namespace gpu_check {

struct Cell {
  const char *name;
  int64_t batch, seq_q, seq_k;
  int32_t heads_q, heads_kv, head_dim;
  bool causal;
  int32_t page_size;  // 0: no pages

  // Goals; 0: none. Rates are TFLOP/s of a forward pass, TB/s of a decode step, with the element-wise gate.
  double rate, microseconds;
  double ungated, compiled;  // how many times as fast as the best of PyTorch's: neither gated; its gate compiled

  bool decode() const { return seq_q == 1; }
};

// What gates may cost, of the ungated time, from 2,048 queries on.
constexpr double kElementWiseGoal = 1.01, kHeadWiseGoal = 1.002;
constexpr int64_t kGateGoalFrom = 2048;

// The first ones matter most: time may run out.
const std::vector<Cell> &cells();

// The same calls, small enough for a test on a CPU.
Cell tiny(Cell cell);

}  // namespace gpu_check
