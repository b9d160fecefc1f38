#include "random_case.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "number.h"
#include "random.h"

namespace gatest {
namespace {

int64_t random_length(Random &random) {
  if (random.chance(0.3)) return random.between(1, 40);
  return random.pick<int64_t>({1, 2, 3, 7, 8, 31, 33, 64, 65, 127, 128, 129, 255, 300});
}

int64_t random_key_length(Random &random) {
  if (random.chance(0.25)) return random.pick<int64_t>({256, 257, 511, 513, 777, 1021, 2047, 4099});
  return random_length(random);
}

int32_t random_head_dim(Random &random) {
  if (random.chance(0.6)) return random.pick<int32_t>({64, 96, 128, 192, 256});
  return random.chance(0.5) ? static_cast<int32_t>(8 * random.between(1, 16))
                            : static_cast<int32_t>(8 * random.between(1, 64));
}

int64_t work(const Case &c) { return c.batch * c.seq_q * c.seq_k * c.heads_q * (c.head_dim + c.head_dim_v); }

void random_sizes(Case &c, Random &random, int64_t budget) {
  c.head_dim = random_head_dim(random);
  c.head_dim_v = random.chance(0.6) ? c.head_dim : random_head_dim(random);
  c.batch = random.pick<int64_t>({1, 1, 2, 3, 5});
  c.heads_kv = random.pick<int32_t>({1, 1, 2, 3, 5});
  c.heads_q = c.heads_kv * random.pick<int32_t>({1, 1, 2, 3, 4, 7, 8, 16});
  const bool decode = random.chance(0.25);
  c.seq_q = decode ? random.pick<int64_t>({1, 1, 1, 2, 4}) : random_length(random);
  c.seq_k = random.chance(0.3) ? c.seq_q : random_key_length(random);
  if (random.chance(0.03)) c.seq_k = 0;
  while (work(c) > budget) {
    const int64_t choice = random.below(5);
    if (choice == 0) c.batch = std::max<int64_t>(1, c.batch / 2);
    if (choice == 1) c.heads_q = c.heads_kv;
    if (choice == 2 && c.heads_q == c.heads_kv) c.heads_q = c.heads_kv = 1;
    if (choice == 3) c.seq_q = std::min(c.seq_q, random_length(random));
    if (choice == 4) c.seq_k = std::min(c.seq_k, random_key_length(random));
  }
  if (random.chance(0.01)) c.seq_q = 0;
  if (random.chance(0.01)) c.batch = 0;
}

void random_mask(Case &c, Random &random) {
  if (random.chance(0.5)) c.flags |= GA_CAUSAL;
  constexpr int64_t kWidest = std::numeric_limits<int64_t>::max();
  if (random.chance(0.35)) c.window_left = random.pick<int64_t>({0, 1, 5, 31, 64, 100, 1000, kWidest});
  if (random.chance(0.25)) c.window_right = random.pick<int64_t>({0, 1, 6, 30, 65, 900, kWidest});
  c.poison = random.chance(0.5);
}

void random_scores(Case &c, Random &random) {
  const float usual = 1 / std::sqrt(static_cast<float>(c.head_dim));
  c.scale = random.chance(0.75) ? usual : random.pick({0.0F, 0.5F, -usual, 0.01F});
  c.query_size = random.pick({0.25, 1.0, 1.0, 3.0});
  c.value_size = random.pick({0.01, 1.0, 1.0, 30.0});
  c.gate_size = random.pick({1.0, 4.0, 12.0, 40.0});
  // Scores that rise or fall along the keys: by a product in a few outlying channels, as models have it, or in all of them,
  // where the terms of a score have one sign. Larger ones ask for more than f32 sums give: see docs/operator.md.
  if (random.chance(0.3)) {
    c.trend_dims = random.chance(0.5) ? 8 : c.head_dim;
    c.trend = c.trend_dims == 8 ? random.pick({-20.0, 20.0}) : random.pick({-8.0, 8.0});
  }
}

void random_epilogue(Case &c, Random &random) {
  c.activation = static_cast<ga_activation>(random.below(7));
  c.combination = random.chance(0.3) ? GA_ADD : GA_MULTIPLY;
  if (random.chance(0.4)) c.pre_gate = random.chance(0.6) ? GA_PRE_RMS_NORM : GA_PRE_SILU;
  c.norm_eps = random.pick({1e-6F, 1e-5F, 1e-3F, 0.0F});
  if (random.chance(0.25)) c.flags |= GA_ROUND_BEFORE_GATE;
}

// Places operands in blocks: each alone, or several within the rows of one buffer as model code packs them.
class Layout {
 public:
  Layout(Case &c, Random &random, bool tight) : c_(c), random_(random), tight_(tight) {}

  void place_sink() {
    c_.sink = shape(random_dtype(), {1, 1, random_.chance(0.3) ? 1 : c_.heads_q, 1});
    place(c_.sink, true);
  }

  void choose() {
    View gate = shape(random_.chance(0.6) ? c_.dtype : random_dtype(), {c_.batch, c_.seq_q, c_.heads_q, c_.head_dim_v});
    const bool gated = random_.chance(0.85);
    const bool shared = gated && random_.chance(0.45);
    c_.q = shape(c_.dtype, {c_.batch, c_.seq_q, c_.heads_q, c_.head_dim});
    c_.k = shape(c_.dtype, {c_.batch, c_.seq_k, c_.heads_kv, c_.head_dim});
    c_.v = shape(c_.dtype, {c_.batch, c_.seq_k, c_.heads_kv, c_.head_dim_v});
    c_.out = shape(c_.dtype, {c_.batch, c_.seq_q, c_.heads_q, c_.head_dim_v});
    const bool packable = gated && !shared && gate.dtype == c_.dtype;
    if (packable && random_.chance(0.6)) {
      place_packed(gate);
    } else {
      place(c_.q);
      if (shared) share_axes(gate);
      if (gated) place(gate, true);
    }
    if (gated) c_.gate = gate;
    if (!c_.k.present()) place_keys();
    if (!c_.out.present()) place_output(packable);
    place_optional();
  }

 private:
  ga_dtype random_dtype() { return random_.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}); }
  int64_t padding() { return random_.chance(0.5) ? 0 : random_.between(1, 19); }

  static View shape(ga_dtype dtype, std::array<int64_t, 4> extent) {
    View view;
    view.dtype = dtype;
    view.extent = extent;
    return view;
  }

  int new_block() {
    c_.block_bytes.push_back(0);
    return static_cast<int>(c_.block_bytes.size()) - 1;
  }

  int64_t random_offset() { return tight_ ? 0 : random_.below(10); }

  void grow_block(const View &view) {
    int64_t &bytes = c_.block_bytes[static_cast<size_t>(view.block)];
    bytes = std::max(bytes, (view.offset + span(view)) * size_of(view.dtype));
  }

  // Stride 0 where the gate is the same along an axis; headwise is the last one. The extents stay what they are.
  void share_axes(View &gate) {
    for (int64_t &extent : gate.extent) {
      if (random_.chance(0.4)) extent = 1;
    }
  }

  // A block of its own: the outer axes in any order, with odd padding.
  void place(View &view, bool may_share = false) {
    view.block = new_block();
    view.offset = random_offset();
    std::array<size_t, 3> order{0, 1, 2};
    if (random_.chance(0.5)) std::swap(order[0], order[static_cast<size_t>(random_.below(3))]);
    if (random_.chance(0.5)) std::swap(order[1], order[static_cast<size_t>(random_.below(3))]);
    int64_t stride = view.extent[3] + padding();
    view.stride[3] = view.extent[3] == 1 && may_share ? 0 : 1;
    for (size_t n = 3; n-- > 0;) {
      const size_t axis = order[n];
      view.stride[axis] = view.extent[axis] == 1 && may_share ? 0 : stride;
      stride = stride * std::max<int64_t>(1, view.extent[axis]) + padding();
    }
    grow_block(view);
  }

  // Operands side by side within one buffer's rows. per_head: [batch, sequence, head, all operands], else each
  // operand's heads follow one another: [batch, sequence, all operands' heads]. Sequence may be the outer axis.
  void place_together(const std::vector<View *> &members, bool per_head) {
    const int block = new_block();
    int64_t row = 0;
    const int64_t offset = random_offset();
    for (View *member : members) {
      member->block = block;
      member->offset = offset + row;
      row += per_head ? member->extent[3] : member->extent[2] * member->extent[3];
    }
    const int64_t head_stride = per_head ? row + padding() : 0;
    const View &first = *members.front();
    const int64_t inner = (per_head ? head_stride * first.extent[2] : row) + padding();
    const bool sequence_outside = random_.chance(0.3);
    const int64_t outer = inner * std::max<int64_t>(1, sequence_outside ? first.extent[0] : first.extent[1]) + padding();
    for (View *member : members) {
      member->stride = {sequence_outside ? inner : outer, sequence_outside ? outer : inner,
                        per_head ? head_stride : member->extent[3], 1};
      grow_block(*member);
    }
  }

  void place_packed(View &gate) {
    const int64_t choice = random_.below(c_.seq_q == c_.seq_k ? 5 : 3);
    if (choice == 0) {
      c_.layout = "[q|gate] per head";
      place_together({&c_.q, &gate}, true);
    } else if (choice == 1) {
      c_.layout = "[q|gate] grouped";
      place_together({&c_.q, &gate}, false);
    } else if (choice == 2) {
      c_.layout = "[q|gate|out] per head";
      place_together({&c_.q, &gate, &c_.out}, true);
    } else if (choice == 3) {
      c_.layout = "[q|k|v|gate] in one row";
      place_together({&c_.q, &c_.k, &c_.v, &gate}, false);
    } else {
      c_.layout = "[q|k|out|v|gate] in one row";
      place_together({&c_.q, &c_.k, &c_.out, &c_.v, &gate}, false);
    }
  }

  void place_keys() {
    if (random_.chance(0.2)) {
      place_together({&c_.k, &c_.v}, random_.chance(0.5));
    } else {
      place(c_.k);
      if (c_.head_dim == c_.head_dim_v && random_.chance(0.05)) {
        c_.v = c_.k;
      } else {
        place(c_.v);
      }
    }
  }

  void place_output(bool gate_fits) {
    if (gate_fits && random_.chance(0.2)) {
      c_.layout += ", out = gate";
      c_.out = c_.gate;
    } else if (c_.head_dim == c_.head_dim_v && random_.chance(0.1)) {
      c_.layout += ", out = q";
      c_.out = c_.q;
    } else {
      place(c_.out);
    }
  }

  void place_optional() {
    if (c_.pre_gate == GA_PRE_RMS_NORM && random_.chance(0.7)) {
      c_.norm_weight = shape(random_dtype(), {1, 1, c_.heads_q, c_.head_dim_v});
      if (random_.chance(0.4)) c_.norm_weight.extent[2] = 1;
      if (random_.chance(0.2)) c_.norm_weight.extent[3] = 1;
      place(c_.norm_weight, true);
    }
    if (random_.chance(0.3)) {
      c_.key_lengths = shape(GA_I32, {c_.batch, 1, 1, 1});
      place(c_.key_lengths);
      for (int64_t b = 0; b < c_.batch; ++b) c_.lengths.push_back(static_cast<int32_t>(random_.between(0, c_.seq_k)));
      if (!c_.lengths.empty() && random_.chance(0.3))
        c_.lengths[0] = random_.chance(0.5) ? 0 : static_cast<int32_t>(c_.seq_k);
    }
    if (random_.chance(0.6)) {
      c_.lse = shape(GA_F32, {c_.batch, c_.seq_q, c_.heads_q, 1});
      place(c_.lse);
    }
  }

  Case &c_;
  Random &random_;
  bool tight_;
};

// What else takes part in the softmax, from a generator of its own: the rest of a case does not change with it.
void random_softmax(Case &c, bool tight) {
  Random random(~c.seed);
  if (random.chance(0.25)) c.softcap = random.pick({1.0F, 5.0F, 20.0F, 50.0F, 1000.0F});
  if (!random.chance(0.25)) return;
  Layout(c, random, tight).place_sink();
  c.sink_size = random.pick({1.0, 5.0, 30.0});
  c.trend /= 2;  // errors that all scores have in common cancel, but against a sink
}

}  // namespace

Case random_case(uint64_t seed, const RandomOptions &options) {
  Random random(seed);
  Case c;
  c.seed = seed;
  c.dtype = random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16});
  random_sizes(c, random, options.budget);
  random_mask(c, random);
  random_scores(c, random);
  random_epilogue(c, random);
  Layout(c, random, options.tight).choose();
  random_softmax(c, options.tight);
  if (c.scale == 0) c.trend = 0;
  return c;
}

}  // namespace gatest
