// Bad lengths, packed offsets, pages and scales: refused by name, with nothing written.

#include <deque>

#include "refusal.h"

namespace gatest {
namespace {

using Params = ga_attention_params;

// What a bad call points to: it lives as long as the process.
ga_tensor with(const std::vector<int32_t> &values) {
  static std::deque<std::vector<int32_t>> kept;
  kept.push_back(values);
  ga_tensor t{};
  t.data = kept.back().data();
  t.bytes = static_cast<int64_t>(values.size()) * 4;
  t.stride[0] = t.stride[1] = t.stride[2] = t.stride[3] = 1;
  t.dtype = GA_I32;
  return t;
}

// The values in arrays are read by the forward call alone.
void expect_refused_by_forward(const std::vector<BadCall> &calls) {
  const Runtime runtime(2);
  for (const BadCall &bad : calls) {
    Instance instance(good_call());
    bad.spoil(instance.params);
    expect_refused(runtime.handle(), instance, bad);
  }
}

TEST(Refusals, OfLengths) {
  expect_refused_by_forward({
      {"too many queries", [](Params &p) { p.query_lengths = with({3, 4}); }, {"query_lengths[1]", "4", "seq_q", "3"}},
      {"negative queries", [](Params &p) { p.query_lengths = with({-1, 3}); }, {"query_lengths[0]", "-1", "3"}},
      {"start after the keys", [](Params &p) { p.key_starts = with({0, 5}); }, {"key_starts[1]", "5", "4"}},
      {"negative start", [](Params &p) { p.key_starts = with({-3, 0}); }, {"key_starts[0]", "-3", "5"}},
  });
  expect_all_refused(good_call(), {
                                      {"query_lengths of f32",
                                       [](Params &p) {
                                         p.query_lengths = with({3, 3});
                                         p.query_lengths.dtype = GA_F32;
                                       },
                                       {"query_lengths", "f32", "i32"}},
                                      {"query_lengths too short",
                                       [](Params &p) {
                                         p.query_lengths = with({3, 3});
                                         p.query_lengths.bytes = 4;
                                       },
                                       {"query_lengths", "4", "8"}},
                                  });
}

// One packed axis of the good call: its two entries become one of twice the rows.
void pack_queries(Params &p, const std::vector<int32_t> &offsets) {
  p.seq_q = 6;
  p.cu_seqlens_q = with(offsets);
}

void pack_keys(Params &p, const std::vector<int32_t> &offsets) {
  p.key_lengths = {};
  p.seq_k = 10;
  p.cu_seqlens_k = with(offsets);
}

TEST(Refusals, OfPackedSequences) {
  expect_refused_by_forward({
      {"first not 0", [](Params &p) { pack_queries(p, {1, 3, 6}); }, {"cu_seqlens_q[0]", "1", "0"}},
      {"falling", [](Params &p) { pack_queries(p, {0, 7, 6}); }, {"cu_seqlens_q[2]", "6", "7"}},
      {"last not all", [](Params &p) { pack_queries(p, {0, 3, 5}); }, {"cu_seqlens_q[2]", "5", "seq_q", "6"}},
      {"keys past the end", [](Params &p) { pack_keys(p, {0, 5, 11}); }, {"cu_seqlens_k[2]", "11", "seq_k", "10"}},
      {"keys negative", [](Params &p) { pack_keys(p, {0, -5, 10}); }, {"cu_seqlens_k[1]", "-5", "0"}},
  });
  expect_all_refused(
      good_call(),
      {
          {"two ways for queries",
           [](Params &p) {
             pack_queries(p, {0, 3, 6});
             p.query_lengths = with({3, 3});
           },
           {"cu_seqlens_q", "query_lengths"}},
          {"two ways for keys", [](Params &p) { p.cu_seqlens_k = with({0, 5, 10}); }, {"cu_seqlens_k", "key_lengths"}},
      });
}

// The keys of the good call as two pages of five, in the order of the batch.
void page(Params &p, const std::vector<int32_t> &table) {
  p.block_table = with(table);
  p.pages = 2;
  p.page_size = 5;
}

TEST(Refusals, OfPages) {
  expect_refused_by_forward({
      {"page after the last", [](Params &p) { page(p, {0, 2}); }, {"block_table[1][0]", "2", "1"}},
      {"negative page", [](Params &p) { page(p, {-1, 1}); }, {"block_table[0][0]", "-1"}},
  });
  expect_all_refused(
      good_call(),
      {
          {"no page size",
           [](Params &p) {
             page(p, {0, 1});
             p.page_size = 0;
           },
           {"page_size", "0", "1"}},
          {"page_size without a table", [](Params &p) { p.page_size = 16; }, {"page_size", "16", "block_table"}},
          {"more pages than k has",
           [](Params &p) {
             page(p, {0, 1});
             p.pages = 3;
           },
           {"k"}},
          {"too many keys",
           [](Params &p) {
             page(p, {0, 1});
             p.seq_k = int64_t{1} << 32;
           },
           {"seq_k", "4294967296", "block_table"}},
      });
}

TEST(Refusals, OfInt8Caches) {
  expect_refused_by_forward({
      {"int8 without scales", [](Params &p) { p.k.dtype = p.v.dtype = GA_I8; }, {"k_scale", "20"}},
  });
  expect_all_refused(good_call(),
                     {
                         {"scale without int8", [](Params &p) { p.k_scale = p.lse; }, {"k_scale", "k", "i8"}},
                         {"int8 keys alone",
                          [](Params &p) {
                            p.k.dtype = GA_I8;
                            p.k_scale = p.v_scale = p.lse;
                          },
                          {"v", "f32", "i8"}},
                         {"int8 queries", [](Params &p) { p.q.dtype = GA_I8; }, {"q", "i8"}},
                     });
}

}  // namespace
}  // namespace gatest
