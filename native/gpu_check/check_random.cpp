// Random calls over every option, and the grid of what the kernels are made for.
#include <cmath>
#include <string>
#include <vector>

#include "random.h"
#include "random_case.h"
#include "series.h"

namespace gpu_check {
namespace {

constexpr uint64_t kSeries = 20260725;

// Lengths around the tiles of the kernels; each cell of the grid takes its own turn.
struct Lengths {
  int64_t batch, queries, keys;
  int32_t heads_q, heads_kv;
};
constexpr Lengths kLengths[] = {
    {1, 128, 128, 4, 4}, {2, 300, 300, 4, 2},  {1, 65, 257, 6, 2},  {1, 512, 512, 2, 1},
    {3, 17, 77, 8, 1},   {1, 129, 1021, 2, 2}, {2, 1, 1, 4, 1},     {1, 384, 384, 3, 1},
    {2, 1, 777, 16, 2},  {4, 2, 1500, 8, 1},   {1, 200, 150, 4, 2},  // more queries than keys: rows that see none
};

// 0: none, 1: a score per head, 2: one per element; every activation and combination comes by in turn.
void set_gate(gatest::Case &c, int kind, int turn) {
  gatest::lay_out_densely(c, {.gate = kind > 0, .lse = true});
  if (kind == 0) return;
  if (kind == 1) {
    c.gate.extent[3] = 1;
    c.block_bytes[static_cast<size_t>(c.gate.block)] /= c.head_dim_v;
    c.gate.stride = {c.seq_q * c.heads_q, c.heads_q, 1, 0};
  }
  c.activation = static_cast<ga_activation>(turn % 7);
  c.combination = turn % 5 == 4 ? GA_ADD : GA_MULTIPLY;
}

}  // namespace

bool check_random(const Device &device, const Scope &scope, Tally &tally) {
  for (int64_t n = 0; n < scope.cases; ++n) {
    const gatest::Case c = gatest::random_case(gatest::case_seed(kSeries, n), {scope.budget, false});
    const auto action = [&] { check_case(device, c, "random", false, scope, tally); };
    if (!guarded(device, tally, "random", gatest::describe(c), action)) return false;
  }
  return true;
}

bool check_grid(const Device &device, const Scope &scope, Tally &tally) {
  int turn = 0;
  for (const ga_dtype dtype : {GA_BF16, GA_F16, GA_F32})
    for (const int32_t head_dim : {64, 96, 128, 192, 256})
      for (int mask = 0; mask < 3; ++mask)  // full, causal, sliding window
        for (int gate = 0; gate < 3; ++gate, ++turn) {
          if (scope.cases < 100 && turn % 5 != 0) continue;
          const Lengths &lengths = kLengths[static_cast<size_t>(turn) % std::size(kLengths)];
          gatest::Case c;
          c.seed = static_cast<uint64_t>(turn) + 1;
          c.dtype = dtype;
          c.head_dim = c.head_dim_v = head_dim;
          c.scale = 1 / std::sqrt(static_cast<float>(head_dim));
          c.batch = lengths.batch;
          c.seq_q = lengths.queries;
          c.seq_k = lengths.keys;
          c.heads_q = lengths.heads_q;
          c.heads_kv = lengths.heads_kv;
          c.poison = true;
          if (mask > 0) c.flags |= GA_CAUSAL;
          if (mask == 2) c.window_left = 40 + 13 * (turn % 9);
          set_gate(c, gate, turn);
          const auto action = [&] { check_case(device, c, "grid", scope.family.empty(), scope, tally); };
          if (!guarded(device, tally, "grid", gatest::describe(c), action)) return false;
        }
  return true;
}

}  // namespace gpu_check
