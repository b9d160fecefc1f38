// What the checks of every call share: a tensor must look as expected, and an output must lie apart from the inputs.
#pragma once

#include "abi/overlap.h"
#include "abi/refusal.h"
#include "abi/validate.h"
#include "core/problem.h"

namespace ga {

constexpr int64_t kMaxExtent = int64_t{1} << 48;  // of batch and sequence axes: sums of a few stay in range
constexpr int kFloats = 1 << GA_F32 | 1 << GA_BF16 | 1 << GA_F16;
constexpr const char *kFloatsRule = "f32, bf16 or f16";

// What a tensor of the call must look like. Axes that a tensor does not have get extent 1.
struct Expected {
  const char *name;
  const ga_tensor &tensor;
  int64_t extent[4];
  int types;              // bit per ga_dtype
  const char *type_rule;  // the same in words
  bool shared_axes;       // stride 0 is allowed
  bool output;
  bool required;
  int64_t count = 1, count_stride = 0;  // so many of them, elements from one to the next
};

// What happens at the end of a row, as both kinds of calls say it.
struct OutputOptions {
  float norm_eps;
  ga_activation activation;
  ga_combination combination;
  ga_pre_gate pre_gate;
  const ga_tensor &norm_weight;
};

// Each returns false when it refused.
bool check_tensor(const Expected &e, Purpose purpose, View &view, Refusal &no);
bool check_overlap(const Expected &output, const Expected &input, bool in_place_allowed, Refusal &no);
bool check_range(const char *name, int64_t value, int64_t lo, int64_t hi, Refusal &no);
bool check_head_dim(const char *name, int32_t value, Refusal &no);
bool check_flags(int32_t flags, int32_t known, Refusal &no);
bool check_options(const OutputOptions &o, Refusal &no);

bool is_finite(float x);
Region region_of(const Expected &e);  // of a tensor that passed check_tensor

}  // namespace ga
