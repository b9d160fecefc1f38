// One attention call as data: sizes, options, where each operand lies in which block, and what it is filled with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gated_attention.h"

namespace gatest {

// An operand within a block. Offset and strides are in elements; an absent one has block -1.
struct View {
  int block = -1;
  ga_dtype dtype = GA_F32;
  int64_t offset = 0;
  std::array<int64_t, 4> extent{};
  std::array<int64_t, 4> stride{};

  bool present() const { return block >= 0; }
};

// Elements from the first to the last one, both included; 0 when the view holds none.
int64_t span(const View &view);

struct Case {
  uint64_t seed = 1;  // of the contents
  int64_t batch = 1;
  int64_t seq_q = 1;
  int64_t seq_k = 1;
  int32_t heads_q = 1;
  int32_t heads_kv = 1;
  int32_t head_dim = 64;
  int32_t head_dim_v = 64;
  int64_t window_left = -1;
  int64_t window_right = -1;
  float scale = 0.125F;
  float norm_eps = 1e-6F;
  float softcap = 0;
  ga_activation activation = GA_SIGMOID;
  ga_combination combination = GA_MULTIPLY;
  ga_pre_gate pre_gate = GA_PRE_NONE;
  int32_t flags = 0;
  ga_dtype dtype = GA_F32;

  View q, k, v, gate, norm_weight, sink, key_lengths, out, lse;
  View dout, ungated, dq, dk, dv, dgate, dnorm_weight, dsink;  // of a backward call
  std::vector<int64_t> block_bytes;
  std::string layout = "dense";  // in words, for messages

  std::vector<int32_t> lengths;  // one per sequence where key_lengths is present
  double query_size = 1;         // standard deviations
  double value_size = 1;
  double gate_size = 2;
  double sink_size = 1;
  double dout_size = 1;
  double trend = 0;        // by how much scores rise from the first key to the last
  int64_t trend_dims = 0;  // the last dims of q and k, in which the rise sits
  bool poison = false;     // keys that no row sees hold NaN and infinities
};

// What a plain caller passes: every operand dense in a block of its own.
struct Optional {
  bool gate = true;
  bool norm_weight = false;
  bool sink = false;
  bool key_lengths = false;
  bool lse = true;
};
void lay_out_densely(Case &c, const Optional &optional);

// A view of the whole of a new block, with unit stride on the last axis.
View own_block(Case &c, ga_dtype dtype, std::array<int64_t, 4> extent);

// All that is needed to recognize a case in a log, on one line.
std::string describe(const Case &c);

}  // namespace gatest
