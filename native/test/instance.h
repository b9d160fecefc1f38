// A case in memory: filled inputs, NaN-filled outputs, the parameters of the call, and the checks after it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "block.h"
#include "case.h"
#include "gated_attention.h"
#include "reference.h"

namespace gatest {

class Instance {
 public:
  explicit Instance(const Case &c, Placement placement = Placement::kRedZones);

  ga_attention_params params{};
  ga_attention_backward_params backward{};

  // Where a view's element lies; the indices of an axis with stride 0 do not matter.
  std::byte *address(const View &view, int64_t batch, int64_t sequence, int64_t head, int64_t dim) const;

  // The raw elements of the outputs in the order [B, Sq, Hq, Dv] and [B, Sq, Hq]: equal bits, equal results.
  std::vector<std::byte> out_bits() const { return bits(case_.out); }
  std::vector<std::byte> lse_bits() const { return bits(case_.lse); }

  // Remembers every block as it is; done once after filling, and again by tests that changed an input.
  void take_snapshot();

  // Empty when only elements of outputs were written. The outputs are set back to what they held before the call.
  std::string untouched_elsewhere();

  // Empty when nothing at all was written since the snapshot.
  std::string untouched() const;

  // The same for a backward call, whose outputs are the gradients.
  std::string untouched_but_gradients();

  // Makes guarded blocks that hold no output read-only for the time of a call.
  void protect_inputs(bool on) const;
  void protect_all_but_gradients(bool on) const;

  std::vector<std::byte> bits(const View &view) const;  // the raw elements; none of an absent view

  const Case &description() const { return case_; }
  const std::vector<Block> &blocks() const { return blocks_; }  // a view's block is its number here

 private:
  void fill(const View &view, double size);
  void fill_inputs();
  void add_trend(const View &view, double at_first, double at_last);
  void poison_unseen(const View &view);
  ga_tensor tensor(const View &view) const;
  void protect(bool protect, const std::vector<const View *> &outputs) const;
  void restore(const View &view);

  Case case_;
  std::vector<Block> blocks_;
};

// Of a backward call, in the order dq, dk, dv, dgate, dnorm_weight, dsink; some may be absent.
std::vector<const View *> gradients(const Case &c);

// Signed errors as shares of the bound, of many elements.
struct ErrorBalance {
  double sum = 0;           // of error / bound
  double sum_outwards = 0;  // the same, positive where the result is too large in magnitude
  double elements = 0;
  double largest = 0;  // |error| / bound
  void add(const ErrorBalance &other);
};

// Empty when every element of the outputs is within its bound, else the first that is not.
std::string compare(const Instance &instance, const Reference &reference, ErrorBalance *balance);

// One call of the library on the case and every check on its result; empty when all hold.
std::string run_and_check(ga_runtime runtime, const Case &c, Placement placement, ErrorBalance *balance);

}  // namespace gatest
