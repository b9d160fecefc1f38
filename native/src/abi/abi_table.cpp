#include "abi/abi_table.h"

#include <array>
#include <cstddef>

#include "gated_attention.h"

namespace ga {
namespace {

// The numbers come from the compiler, at compile time: the table is a constant, and loading the library runs no code.
class Text {
 public:
  constexpr void line(const char *kind, const char *a, const char *b = nullptr, long x = -1, long y = -1) {
    word(kind);
    word(a);
    if (b) word(b);
    if (x >= 0) number(x);
    if (y >= 0) number(y);
    text_[size_ - 1] = '\n';
  }
  constexpr void abi(long version) {
    word("abi");
    number(version);
    text_[size_ - 1] = '\n';
  }
  constexpr const char *c_str() const { return text_.data(); }

 private:
  constexpr void word(const char *w) {
    while (*w) text_[size_++] = *w++;
    text_[size_++] = ' ';
  }
  constexpr void number(long n) {
    char digits[20] = {};
    int count = 0;
    do digits[count++] = static_cast<char>('0' + n % 10);
    while ((n /= 10) > 0);
    while (count > 0) text_[size_++] = digits[--count];
    text_[size_++] = ' ';
  }

  std::array<char, 16384> text_{};
  size_t size_ = 0;
};

#define GA_STRUCT(s) t.line("struct", #s, nullptr, sizeof(s))
#define GA_FIELD(s, f) t.line("field", #s, #f, offsetof(s, f), sizeof(decltype(s::f)))
#define GA_FUNCTION(f) t.line("function", #f)

constexpr Text make_table() {
  Text t;
  t.abi(GA_ABI_VERSION);
  GA_STRUCT(ga_tensor);
  GA_FIELD(ga_tensor, data);
  GA_FIELD(ga_tensor, bytes);
  GA_FIELD(ga_tensor, stride);
  GA_FIELD(ga_tensor, dtype);
  GA_FIELD(ga_tensor, reserved);
  GA_STRUCT(ga_error);
  GA_FIELD(ga_error, status);
  GA_FIELD(ga_error, message);
  GA_STRUCT(ga_runtime_options);
  GA_FIELD(ga_runtime_options, struct_size);
  GA_FIELD(ga_runtime_options, threads);
  GA_FIELD(ga_runtime_options, max_isa);
  GA_FIELD(ga_runtime_options, device);
  GA_FIELD(ga_runtime_options, device_index);
  GA_FIELD(ga_runtime_options, cuda_library);
  GA_STRUCT(ga_runtime_info);
  GA_FIELD(ga_runtime_info, struct_size);
  GA_FIELD(ga_runtime_info, isa);
  GA_FIELD(ga_runtime_info, threads);
  GA_FIELD(ga_runtime_info, workspace_bytes);
  GA_FIELD(ga_runtime_info, device);
  GA_FIELD(ga_runtime_info, device_index);
  GA_FIELD(ga_runtime_info, compute_capability);
  GA_FIELD(ga_runtime_info, multiprocessors);
  GA_FIELD(ga_runtime_info, driver_version);
  GA_FIELD(ga_runtime_info, runtime_version);
  GA_FIELD(ga_runtime_info, memory_bytes);
  GA_FIELD(ga_runtime_info, free_bytes);
  GA_FIELD(ga_runtime_info, device_name);
  GA_STRUCT(ga_attention_params);
  GA_FIELD(ga_attention_params, struct_size);
  GA_FIELD(ga_attention_params, batch);
  GA_FIELD(ga_attention_params, seq_q);
  GA_FIELD(ga_attention_params, seq_k);
  GA_FIELD(ga_attention_params, heads_q);
  GA_FIELD(ga_attention_params, heads_kv);
  GA_FIELD(ga_attention_params, head_dim);
  GA_FIELD(ga_attention_params, head_dim_v);
  GA_FIELD(ga_attention_params, window_left);
  GA_FIELD(ga_attention_params, window_right);
  GA_FIELD(ga_attention_params, scale);
  GA_FIELD(ga_attention_params, norm_eps);
  GA_FIELD(ga_attention_params, activation);
  GA_FIELD(ga_attention_params, combination);
  GA_FIELD(ga_attention_params, pre_gate);
  GA_FIELD(ga_attention_params, flags);
  GA_FIELD(ga_attention_params, q);
  GA_FIELD(ga_attention_params, k);
  GA_FIELD(ga_attention_params, v);
  GA_FIELD(ga_attention_params, gate);
  GA_FIELD(ga_attention_params, norm_weight);
  GA_FIELD(ga_attention_params, key_lengths);
  GA_FIELD(ga_attention_params, out);
  GA_FIELD(ga_attention_params, lse);
  GA_FIELD(ga_attention_params, workspace);
  GA_FIELD(ga_attention_params, workspace_bytes);
  GA_FIELD(ga_attention_params, sink);
  GA_FIELD(ga_attention_params, query_lengths);
  GA_FIELD(ga_attention_params, key_starts);
  GA_FIELD(ga_attention_params, cu_seqlens_q);
  GA_FIELD(ga_attention_params, cu_seqlens_k);
  GA_FIELD(ga_attention_params, block_table);
  GA_FIELD(ga_attention_params, pages);
  GA_FIELD(ga_attention_params, page_size);
  GA_FIELD(ga_attention_params, softcap);
  GA_FIELD(ga_attention_params, k_scale);
  GA_FIELD(ga_attention_params, v_scale);
  GA_FIELD(ga_attention_params, stream);
  GA_STRUCT(ga_merge_params);
  GA_FIELD(ga_merge_params, struct_size);
  GA_FIELD(ga_merge_params, batch);
  GA_FIELD(ga_merge_params, seq_q);
  GA_FIELD(ga_merge_params, count);
  GA_FIELD(ga_merge_params, partial_out_stride);
  GA_FIELD(ga_merge_params, partial_lse_stride);
  GA_FIELD(ga_merge_params, heads_q);
  GA_FIELD(ga_merge_params, head_dim_v);
  GA_FIELD(ga_merge_params, norm_eps);
  GA_FIELD(ga_merge_params, activation);
  GA_FIELD(ga_merge_params, combination);
  GA_FIELD(ga_merge_params, pre_gate);
  GA_FIELD(ga_merge_params, flags);
  GA_FIELD(ga_merge_params, reserved);
  GA_FIELD(ga_merge_params, partial_out);
  GA_FIELD(ga_merge_params, partial_lse);
  GA_FIELD(ga_merge_params, gate);
  GA_FIELD(ga_merge_params, norm_weight);
  GA_FIELD(ga_merge_params, sink);
  GA_FIELD(ga_merge_params, out);
  GA_FIELD(ga_merge_params, lse);
  GA_FIELD(ga_merge_params, stream);
  GA_STRUCT(ga_attention_backward_params);
  GA_FIELD(ga_attention_backward_params, struct_size);
  GA_FIELD(ga_attention_backward_params, workspace_bytes);
  GA_FIELD(ga_attention_backward_params, workspace);
  GA_FIELD(ga_attention_backward_params, dout);
  GA_FIELD(ga_attention_backward_params, ungated);
  GA_FIELD(ga_attention_backward_params, dq);
  GA_FIELD(ga_attention_backward_params, dk);
  GA_FIELD(ga_attention_backward_params, dv);
  GA_FIELD(ga_attention_backward_params, dgate);
  GA_FIELD(ga_attention_backward_params, dnorm_weight);
  GA_FIELD(ga_attention_backward_params, dsink);
  GA_STRUCT(ga_attention_plan);
  GA_FIELD(ga_attention_plan, struct_size);
  GA_FIELD(ga_attention_plan, isa);
  GA_FIELD(ga_attention_plan, threads);
  GA_FIELD(ga_attention_plan, query_block);
  GA_FIELD(ga_attention_plan, key_block);
  GA_FIELD(ga_attention_plan, tasks);
  GA_FIELD(ga_attention_plan, workspace_bytes);
  GA_FIELD(ga_attention_plan, flop);
  GA_FIELD(ga_attention_plan, bytes);
  GA_FIELD(ga_attention_plan, kernel);
  GA_STRUCT(ga_measure_params);
  GA_FIELD(ga_measure_params, struct_size);
  GA_FIELD(ga_measure_params, attention);
  GA_FIELD(ga_measure_params, ranges);
  GA_FIELD(ga_measure_params, range_count);
  GA_FIELD(ga_measure_params, map_cells);
  GA_FIELD(ga_measure_params, share);
  GA_FIELD(ga_measure_params, entropy);
  GA_FIELD(ga_measure_params, map);
  GA_FIELD(ga_measure_params, rows);
  GA_FIELD(ga_measure_params, share_count);
  GA_FIELD(ga_measure_params, entropy_count);
  GA_FIELD(ga_measure_params, map_count);
  GA_FIELD(ga_measure_params, rows_count);
  GA_STRUCT(ga_value_statistics);
  GA_FIELD(ga_value_statistics, count);
  GA_FIELD(ga_value_statistics, nans);
  GA_FIELD(ga_value_statistics, below);
  GA_FIELD(ga_value_statistics, above);
  GA_FIELD(ga_value_statistics, small);
  GA_FIELD(ga_value_statistics, smaller);
  GA_FIELD(ga_value_statistics, mean);
  GA_FIELD(ga_value_statistics, standard_deviation);
  GA_FIELD(ga_value_statistics, min);
  GA_FIELD(ga_value_statistics, max);
  GA_FIELD(ga_value_statistics, largest);
  GA_STRUCT(ga_values_params);
  GA_FIELD(ga_values_params, struct_size);
  GA_FIELD(ga_values_params, batch);
  GA_FIELD(ga_values_params, seq);
  GA_FIELD(ga_values_params, heads);
  GA_FIELD(ga_values_params, dim);
  GA_FIELD(ga_values_params, activation);
  GA_FIELD(ga_values_params, bins);
  GA_FIELD(ga_values_params, low);
  GA_FIELD(ga_values_params, high);
  GA_FIELD(ga_values_params, below);
  GA_FIELD(ga_values_params, above);
  GA_FIELD(ga_values_params, small);
  GA_FIELD(ga_values_params, smaller);
  GA_FIELD(ga_values_params, values);
  GA_FIELD(ga_values_params, statistics);
  GA_FIELD(ga_values_params, histogram);
  GA_FIELD(ga_values_params, statistics_count);
  GA_FIELD(ga_values_params, histogram_count);
  GA_STRUCT(ga_prologue_part);
  GA_FIELD(ga_prologue_part, in);
  GA_FIELD(ga_prologue_part, gate);
  GA_FIELD(ga_prologue_part, norm_weight);
  GA_FIELD(ga_prologue_part, out);
  GA_FIELD(ga_prologue_part, in_group_stride);
  GA_FIELD(ga_prologue_part, out_group_stride);
  GA_FIELD(ga_prologue_part, heads);
  GA_FIELD(ga_prologue_part, dim);
  GA_FIELD(ga_prologue_part, group);
  GA_FIELD(ga_prologue_part, flags);
  GA_FIELD(ga_prologue_part, activation);
  GA_FIELD(ga_prologue_part, norm_eps);
  GA_STRUCT(ga_prologue_params);
  GA_FIELD(ga_prologue_params, struct_size);
  GA_FIELD(ga_prologue_params, batch);
  GA_FIELD(ga_prologue_params, seq);
  GA_FIELD(ga_prologue_params, first_position);
  GA_FIELD(ga_prologue_params, table_rows);
  GA_FIELD(ga_prologue_params, pages);
  GA_FIELD(ga_prologue_params, page_size);
  GA_FIELD(ga_prologue_params, rotary_dim);
  GA_FIELD(ga_prologue_params, flags);
  GA_FIELD(ga_prologue_params, reserved);
  GA_FIELD(ga_prologue_params, cosines);
  GA_FIELD(ga_prologue_params, sines);
  GA_FIELD(ga_prologue_params, positions);
  GA_FIELD(ga_prologue_params, slots);
  GA_FIELD(ga_prologue_params, q);
  GA_FIELD(ga_prologue_params, k);
  GA_FIELD(ga_prologue_params, v);
  GA_STRUCT(ga_prologue_gradient);
  GA_FIELD(ga_prologue_gradient, d_out);
  GA_FIELD(ga_prologue_gradient, d_in);
  GA_FIELD(ga_prologue_gradient, d_gate);
  GA_FIELD(ga_prologue_gradient, d_norm_weight);
  GA_FIELD(ga_prologue_gradient, d_out_group_stride);
  GA_FIELD(ga_prologue_gradient, d_in_group_stride);
  GA_STRUCT(ga_prologue_backward_params);
  GA_FIELD(ga_prologue_backward_params, struct_size);
  GA_FIELD(ga_prologue_backward_params, forward);
  GA_FIELD(ga_prologue_backward_params, q);
  GA_FIELD(ga_prologue_backward_params, k);
  GA_FIELD(ga_prologue_backward_params, v);
  GA_STRUCT(ga_epilogue_params);
  GA_FIELD(ga_epilogue_params, struct_size);
  GA_FIELD(ga_epilogue_params, batch);
  GA_FIELD(ga_epilogue_params, seq);
  GA_FIELD(ga_epilogue_params, width);
  GA_FIELD(ga_epilogue_params, activation);
  GA_FIELD(ga_epilogue_params, in);
  GA_FIELD(ga_epilogue_params, gate);
  GA_FIELD(ga_epilogue_params, residual);
  GA_FIELD(ga_epilogue_params, out);
  GA_STRUCT(ga_epilogue_backward_params);
  GA_FIELD(ga_epilogue_backward_params, struct_size);
  GA_FIELD(ga_epilogue_backward_params, forward);
  GA_FIELD(ga_epilogue_backward_params, d_out);
  GA_FIELD(ga_epilogue_backward_params, d_in);
  GA_FIELD(ga_epilogue_backward_params, d_gate);
  GA_STRUCT(ga_project_params);
  GA_FIELD(ga_project_params, struct_size);
  GA_FIELD(ga_project_params, rows);
  GA_FIELD(ga_project_params, in_features);
  GA_FIELD(ga_project_params, out_features);
  GA_FIELD(ga_project_params, in);
  GA_FIELD(ga_project_params, weight);
  GA_FIELD(ga_project_params, bias);
  GA_FIELD(ga_project_params, out);
  GA_FIELD(ga_project_params, stream);
  GA_FUNCTION(ga_abi_version);
  GA_FUNCTION(ga_abi_table);
  GA_FUNCTION(ga_build_info);
  GA_FUNCTION(ga_status_name);
  GA_FUNCTION(ga_isa_name);
  GA_FUNCTION(ga_isa_unavailable);
  GA_FUNCTION(ga_runtime_create);
  GA_FUNCTION(ga_runtime_close);
  GA_FUNCTION(ga_runtime_query);
  GA_FUNCTION(ga_attention_plan_for);
  GA_FUNCTION(ga_attention_forward);
  GA_FUNCTION(ga_attention_forward_holding);
  GA_FUNCTION(ga_attention_forward_holding_few);
  GA_FUNCTION(ga_attention_merge);
  GA_FUNCTION(ga_attention_merge_holding);
  GA_FUNCTION(ga_attention_backward_plan_for);
  GA_FUNCTION(ga_attention_backward);
  GA_FUNCTION(ga_attention_backward_holding);
  GA_FUNCTION(ga_attention_measure);
  GA_FUNCTION(ga_measure_values);
  GA_FUNCTION(ga_prologue);
  GA_FUNCTION(ga_prologue_backward);
  GA_FUNCTION(ga_epilogue);
  GA_FUNCTION(ga_epilogue_backward);
  GA_FUNCTION(ga_memory_allocate);
  GA_FUNCTION(ga_memory_free);
  GA_FUNCTION(ga_memory_copy);
  GA_FUNCTION(ga_stream_open);
  GA_FUNCTION(ga_stream_close);
  GA_FUNCTION(ga_stream_synchronize);
  GA_FUNCTION(ga_project);
  return t;
}

constexpr Text kTable = make_table();

#define GA_QUOTE(x) #x
#define GA_TEXT(x) GA_QUOTE(x)
#if defined(__clang__)
#define GA_COMPILER "Clang " __clang_version__
#else
#define GA_COMPILER "GCC " __VERSION__
#endif
#if defined(__x86_64__)
#define GA_TARGET "x86_64"
#elif defined(__aarch64__)
#define GA_TARGET "aarch_64"
#else
#define GA_TARGET "unknown"
#endif

}  // namespace

const char *const kAbiTable = kTable.c_str();
const char *const kBuildInfo = "gated-attention " GA_TEXT(GA_VERSION) ", " GA_COMPILER ", linux-" GA_TARGET;

}  // namespace ga
