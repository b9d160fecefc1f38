// One cell with one kind of gate: the same call on several sets of random operands, one after the other, so that none is in the L2 cache
// when its turn comes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cells.h"
#include "device.h"
#include "driver.h"

namespace gpu_check {

enum class GateKind { kNone, kHeadWise, kElementWise };
const char *name_of(GateKind gate);

// Device memory full of about normal bf16 numbers, for inputs, and some for outputs, so that inputs stay what they are. Reused by
// cell after cell.
class Arena {
 public:
  Arena(const Device &device, int64_t bytes);  // of inputs; a quarter of it more for outputs
  void reset() { inputs_used_ = outputs_used_ = 0; }
  // nullptr: full.
  std::byte *take_input(int64_t bytes) { return take(inputs_, inputs_used_, bytes); }
  std::byte *take_output(int64_t bytes) { return take(outputs_, outputs_used_, bytes); }
  int64_t bytes() const { return inputs_.bytes(); }

 private:
  static std::byte *take(const Memory &memory, int64_t &used, int64_t bytes);

  Memory inputs_, outputs_;
  int64_t inputs_used_ = 0, outputs_used_ = 0;
};

// The operands of a cell: sets of them in the arena, and what all calls share.
class CellOperands {
 public:
  // Throws where not even two sets fit.
  CellOperands(const Device &device, const Cell &cell, Arena &arena, int64_t l2_bytes);

  const Cell &cell() const { return cell_; }
  int64_t sets() const { return static_cast<int64_t>(params_.size()); }
  std::vector<ga_attention_params> params(GateKind gate) const;
  // Of some rows of the first set, with the element-wise gate: their largest error as a share of the bound.
  double sampled_error(const Device &device) const;

 private:
  Cell cell_;
  std::vector<ga_attention_params> params_;
  std::vector<int32_t> table_;
  std::unique_ptr<Memory> table_memory_, lengths_memory_;
};

class TimedCall {
 public:
  TimedCall(const Device &device, const Driver &driver, std::vector<ga_attention_params> params);

  // Median microseconds of a call, over launches that fill so much time.
  double turn(double milliseconds);
  bool in_graph() const { return graph_ != nullptr; }

 private:
  void launch();

  const Device &device_;
  Stream stream_;
  std::vector<ga_attention_params> params_;
  Timer timer_;
  std::unique_ptr<Graph> graph_;
};

}  // namespace gpu_check
