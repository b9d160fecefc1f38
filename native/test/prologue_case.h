// A prologue as data: random parts in watched memory, and what float64 says of it, forward and backward.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "block.h"
#include "gated_attention.h"
#include "random.h"

namespace gatest {

// Any tensor of the call: where it lies, and its extents.
struct Placed {
  std::unique_ptr<Block> block;
  ga_tensor tensor{};
  int64_t extent[4] = {1, 1, 1, 1};
  int64_t group = 0, group_stride = 0;  // of heads; 0: none

  bool present() const { return tensor.data != nullptr; }
  std::byte *at(int64_t b, int64_t s, int64_t h, int64_t d) const;
  double get(int64_t b, int64_t s, int64_t h, int64_t d) const;
};

struct PartCase {
  Placed in, gate, norm_weight, out, d_out, d_in, d_gate, d_norm_weight;
};

class PrologueCase {
 public:
  // cached: k and v go to slots of a cache. The same seed gives the same call.
  PrologueCase(uint64_t seed, bool cached);

  ga_prologue_params params{};
  ga_prologue_backward_params backward{};

  // Empty when out is as float64 says, within its bound, and nothing else was written; else the first difference.
  std::string check_forward() const;
  std::string check_backward() const;
  void take_snapshots();
  // All bytes of the outputs, or of the gradients.
  std::vector<std::byte> output_bytes() const;
  std::vector<std::byte> gradient_bytes() const;
  std::string describe() const;

  PartCase part[3];
  std::vector<int32_t> positions, slots;

 private:
  void make_part(Random &random, int n, bool cached);
  ga_prologue_part &params_of(int n) { return n == 0 ? params.q : n == 1 ? params.k : params.v; }
  const ga_prologue_part &params_of(int n) const { return n == 0 ? params.q : n == 1 ? params.k : params.v; }
  ga_prologue_gradient &gradient_of(int n) { return n == 0 ? backward.q : n == 1 ? backward.k : backward.v; }
  int64_t position(int64_t b, int64_t s) const;

  std::vector<float> cosines_, sines_;
};

}  // namespace gatest
