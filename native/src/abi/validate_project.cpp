#include "abi/validate_project.h"

#include <initializer_list>

#include "abi/tensor_check.h"

namespace ga {
namespace {

constexpr int32_t kMaxFeatures = 1 << 24;

}  // namespace

bool check_projection(const ga_project_params *params, Projection &p, void *&stream, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_project_params", params->struct_size, sizeof *params, no)) return false;
  const ga_project_params c = *params;  // checked and used as one copy: the caller may write to his meanwhile
  if (!check_range("rows", c.rows, 0, kMaxExtent, no) ||
      !check_range("in_features", c.in_features, 1, kMaxFeatures, no) ||
      !check_range("out_features", c.out_features, 1, kMaxFeatures, no))
    return false;
  constexpr const char *kRules[] = {"f32, the type of in", "bf16, the type of in", "f16, the type of in"};
  const bool known = c.in.dtype >= 0 && c.in.dtype <= GA_F16;
  const int like_in = known ? 1 << c.in.dtype : 0;
  const char *rule = kRules[known ? c.in.dtype : 0];
  const Expected in = {"in", c.in, {1, c.rows, 1, c.in_features}, kFloats, kFloatsRule, false, false, true};
  const Expected weight = {"weight", c.weight, {1, c.out_features, 1, c.in_features}, like_in, rule, false, false, true};
  const Expected bias = {"bias", c.bias, {1, 1, 1, c.out_features}, like_in, rule, false, false, false};
  const Expected out = {"out", c.out, {1, c.rows, 1, c.out_features}, like_in, rule, false, true, true};
  constexpr Purpose purpose = Purpose::kCall;
  if (!check_tensor(in, purpose, p.in, no) || !check_tensor(weight, purpose, p.weight, no) ||
      !check_tensor(bias, purpose, p.bias, no) || !check_tensor(out, purpose, p.out, no))
    return false;
  for (const Expected *input : {&in, &weight, &bias})
    if (!check_overlap(out, *input, false, no)) return false;
  p.rows = c.rows;
  p.in_features = c.in_features;
  p.out_features = c.out_features;
  stream = c.stream;
  return true;
}

}  // namespace ga
