#include "abi/attention_tensors.h"

namespace ga {
namespace {

constexpr int kInts = 1 << GA_I32, kF32 = 1 << GA_F32;

int64_t query_entries(const ga_attention_params &c) { return c.cu_seqlens_q.data ? 1 : c.batch; }
int64_t key_entries(const ga_attention_params &c) {
  return c.block_table.data ? c.pages : c.cu_seqlens_k.data ? 1 : c.batch;
}
int64_t keys_per_entry(const ga_attention_params &c) { return c.block_table.data ? c.page_size : c.seq_k; }
int64_t table_columns(const ga_attention_params &c) { return c.block_table.data ? ceil_div(c.seq_k, c.page_size) : 1; }

int like_q(const ga_attention_params &c) { return c.q.dtype >= 0 && c.q.dtype <= GA_F16 ? 1 << c.q.dtype : 0; }
const char *like_q_rule(const ga_attention_params &c) {
  return c.q.dtype == GA_F32 ? "f32, the type of q" : c.q.dtype == GA_BF16 ? "bf16, the type of q" : "f16, the type of q";
}
int key_types(const ga_attention_params &c) {
  return c.q.dtype == GA_F32 ? kFloats | 1 << GA_I8 : like_q(c) | 1 << GA_I8;
}
const char *key_rule(const ga_attention_params &c) {
  return c.q.dtype == GA_F32    ? "f32, bf16, f16 or i8 where q is f32"
         : c.q.dtype == GA_BF16 ? "bf16, the type of q, or i8"
                                : "f16, the type of q, or i8";
}
int value_types(const ga_attention_params &c) { return c.k.dtype >= 0 && c.k.dtype <= GA_I8 ? 1 << c.k.dtype : 0; }
const char *value_rule(const ga_attention_params &c) {
  constexpr const char *rules[] = {"f32, the type of k", "bf16, the type of k", "f16, the type of k",
                                   "i32, the type of k", "i8, the type of k"};
  return rules[c.k.dtype < 0 || c.k.dtype > GA_I8 ? GA_I8 : c.k.dtype];
}

// [-, -, -, -] inputs of numbers: lengths, pages.
Expected numbers(const char *name, const ga_tensor &tensor, int64_t rows, int64_t columns) {
  return {name, tensor, {rows, columns, 1, 1}, kInts, "i32", false, false, false};
}

}  // namespace

AttentionTensors::AttentionTensors(const ga_attention_params &c, Pass pass)
    : q{"q", c.q, {query_entries(c), c.seq_q, c.heads_q, c.head_dim}, kFloats, kFloatsRule, false, false, true},
      k{"k",   c.k, {key_entries(c), keys_per_entry(c), c.heads_kv, c.head_dim}, key_types(c), key_rule(c), false,
        false, true},
      v{"v",   c.v, {key_entries(c), keys_per_entry(c), c.heads_kv, c.head_dim_v}, value_types(c), value_rule(c), false,
        false, true},
      k_scale{"k_scale", c.k_scale,         {key_entries(c), keys_per_entry(c), c.heads_kv, 1}, kF32, "f32", false,
              false,     c.k.dtype == GA_I8},
      v_scale{"v_scale", c.v_scale,         {key_entries(c), keys_per_entry(c), c.heads_kv, 1}, kF32, "f32", false,
              false,     c.k.dtype == GA_I8},
      gate{"gate", c.gate, {query_entries(c), c.seq_q, c.heads_q, c.head_dim_v}, kFloats, kFloatsRule, true,
           false,  false},
      norm_weight{"norm_weight", c.norm_weight, {1, 1, c.heads_q, c.head_dim_v}, kFloats, kFloatsRule, true,
                  false,         false},
      sink{"sink", c.sink, {1, 1, c.heads_q, 1}, kFloats, kFloatsRule, true, false, false},
      key_lengths(numbers("key_lengths", c.key_lengths, c.batch, 1)),
      query_lengths(numbers("query_lengths", c.query_lengths, c.batch, 1)),
      key_starts(numbers("key_starts", c.key_starts, c.batch, 1)),
      cu_seqlens_q(numbers("cu_seqlens_q", c.cu_seqlens_q, c.batch + 1, 1)),
      cu_seqlens_k(numbers("cu_seqlens_k", c.cu_seqlens_k, c.batch + 1, 1)),
      block_table(numbers("block_table", c.block_table, c.batch, table_columns(c))),
      out{"out",
          c.out,
          {query_entries(c), c.seq_q, c.heads_q, c.head_dim_v},
          like_q(c),
          like_q_rule(c),
          false,
          pass == Pass::kForward,
          true},
      lse{"lse",
          c.lse,
          {query_entries(c), c.seq_q, c.heads_q, 1},
          kF32,
          "f32",
          false,
          pass == Pass::kForward,
          pass == Pass::kBackward},
      all{&q,
          &k,
          &v,
          &k_scale,
          &v_scale,
          &gate,
          &norm_weight,
          &sink,
          &key_lengths,
          &query_lengths,
          &key_starts,
          &cu_seqlens_q,
          &cu_seqlens_k,
          &block_table,
          &out,
          &lse} {}

}  // namespace ga
