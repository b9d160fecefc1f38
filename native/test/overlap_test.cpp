// Outputs that overlap an input or each other are refused; views that interleave without sharing an element are not.

#include "refusal.h"

namespace gatest {
namespace {

// q, k, v, gate and out of one type and head_dim, in the order given, as rows of one buffer or one after another.
Case same_shape_call() {
  Case c;
  c.batch = 2;
  c.seq_q = 6;
  c.seq_k = 6;
  c.heads_q = 2;
  c.heads_kv = 2;
  c.head_dim = 16;
  c.head_dim_v = 16;
  c.dtype = GA_BF16;
  lay_out_densely(c, {.gate = true, .norm_weight = false, .sink = true, .key_lengths = true, .lse = true});
  c.lengths = {6, 3};
  return c;
}

// Puts one operand where another lies, a number of elements further on.
void expect_overlap_refused(View Case::*moved, View Case::*onto, int64_t elements,
                            const std::vector<std::string> &words) {
  Case c = same_shape_call();
  const View moved_before = c.*moved;
  (c.*moved).block = (c.*onto).block;
  (c.*moved).offset = (c.*onto).offset + elements;
  const int64_t reach = ((c.*moved).offset + span(moved_before)) * (moved_before.dtype == GA_BF16 ? 2 : 4);
  int64_t &bytes = c.block_bytes[static_cast<size_t>((c.*moved).block)];
  bytes = std::max(bytes, reach);
  const Runtime runtime(1);
  const Instance instance(c);
  expect_refused(runtime.handle(), instance, {words.front().c_str(), {}, words});
}

TEST(Overlap, OfOutWithAnInputIsRefused) {
  expect_overlap_refused(&Case::out, &Case::k, 0, {"out", "k"});
  expect_overlap_refused(&Case::out, &Case::v, 0, {"out", "v"});
  expect_overlap_refused(&Case::out, &Case::q, 1, {"out", "q"});
  expect_overlap_refused(&Case::out, &Case::q, 16, {"out", "q"});
  expect_overlap_refused(&Case::out, &Case::gate, 1, {"out", "gate"});
  expect_overlap_refused(&Case::out, &Case::k, 6 * 2 * 16 * 2 - 1, {"out", "k"});
  expect_overlap_refused(&Case::k, &Case::out, 6 * 2 * 16 * 2 - 1, {"out", "k"});
  expect_overlap_refused(&Case::key_lengths, &Case::out, 0, {"out", "key_lengths"});
  expect_overlap_refused(&Case::sink, &Case::out, 2, {"out", "sink"});
}

TEST(Overlap, OfLseIsRefused) {
  expect_overlap_refused(&Case::lse, &Case::q, 0, {"lse", "q"});
  expect_overlap_refused(&Case::lse, &Case::v, 10, {"lse", "v"});
  expect_overlap_refused(&Case::lse, &Case::gate, 0, {"lse", "gate"});
  expect_overlap_refused(&Case::lse, &Case::out, 3, {"lse", "out"});
  expect_overlap_refused(&Case::lse, &Case::key_lengths, 0, {"lse", "key_lengths"});
  expect_overlap_refused(&Case::lse, &Case::sink, 1, {"lse", "sink"});
}

TEST(Overlap, InPlaceNeedsTheSameView) {
  Case c = same_shape_call();
  c.out.block = c.q.block;
  c.out.stride[1] += 16;
  c.out.stride[0] = 6 * c.out.stride[1];
  c.block_bytes[static_cast<size_t>(c.q.block)] *= 2;
  const Runtime runtime(1);
  const Instance instance(c);
  expect_refused(runtime.handle(), instance, {"another stride", {}, {"out", "q"}});
}

TEST(Overlap, InPlaceIsAccepted) {
  const Runtime runtime(2);
  for (const int64_t queries : {1, 6, 140}) {
    for (View Case::*onto : {&Case::q, &Case::gate}) {
      Case c = same_shape_call();
      c.seq_q = c.seq_k = queries;
      c.lengths = {static_cast<int32_t>(queries), 1};
      lay_out_densely(c, {.gate = true, .norm_weight = false, .sink = true, .key_lengths = true, .lse = true});
      c.out = c.*onto;
      EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kRedZones, nullptr), "");
    }
  }
}

TEST(Overlap, OfNeighborsIsNone) {
  const Runtime runtime(1);
  for (const bool out_first : {false, true}) {
    Case c = same_shape_call();
    // One after another in one block, touching.
    const int64_t elements = span(c.q);
    c.out.block = c.q.block;
    (out_first ? c.q : c.out).offset = elements;
    c.block_bytes[static_cast<size_t>(c.q.block)] *= 2;
    EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kRedZones, nullptr), "");
  }
}

TEST(Overlap, OfInterleavedRowsIsNone) {
  const Runtime runtime(1);
  Case c = same_shape_call();
  // Rows of one buffer: [q | k | out | v | gate] per head, and the batch as the innermost axis but one.
  int64_t offset = 0;
  for (View *view : {&c.q, &c.k, &c.out, &c.v, &c.gate}) {
    view->block = c.q.block;
    view->offset = offset;
    view->stride = {2 * 80, 2 * 2 * 80, 80, 1};
    offset += 16;
  }
  c.block_bytes[static_cast<size_t>(c.q.block)] = 6 * 2 * 2 * 80 * 2;
  EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kRedZones, nullptr), "");
}

TEST(Overlap, OfLseBetweenTheRowsOfOutIsNone) {
  const Runtime runtime(1);
  Case c = same_shape_call();
  // 16 bf16 of out, then one f32: 36 bytes per head.
  c.out.stride = {6 * 2 * 18, 2 * 18, 18, 1};
  c.lse.block = c.out.block;
  c.lse.offset = 8;
  c.lse.stride = {6 * 2 * 9, 2 * 9, 9, 1};
  c.block_bytes[static_cast<size_t>(c.out.block)] = 2 * 6 * 2 * 36;
  EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kRedZones, nullptr), "");
}

TEST(Overlap, OfInputsWithEachOtherIsFine) {
  const Runtime runtime(1);
  Case c = same_shape_call();
  c.k = c.v = c.gate = c.q;
  EXPECT_EQ(run_and_check(runtime.handle(), c, Placement::kRedZones, nullptr), "");
}

}  // namespace
}  // namespace gatest
