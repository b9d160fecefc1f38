// The error bound, per element, against float64 on the same rounded inputs.
//
// With eps32 = 2^-23, eps_t = 2^-9 (bf16) or 2^-12 (f16), and over the keys j that the row sees
//
//     mag_d = sum_j P_j |V_jd|         amp = max_j |scale| sum_d |q_d| |k_jd|
//     c     = eps32 (8 + amp + sqrt(Sk) / 8)      and + 3 eps_t for bf16 and f16
//
// Y itself may be off by e_d = c mag_d. Every later step takes (Y, e) to its result and that result's error:
//
// RMSNorm, Z_d = w_d Y_d / s with s = sqrt(mean Y^2 + eps). For any Y' with |Y'_k - Y_k| <= e_k
//     s'^2 = s^2 + 2 mean(Y dY) + mean(dY^2) >= s^2 - 2 mean(|Y| e),      |s' - s| <= sqrt(mean e^2),     s'^2 >= eps,
//   so s' >= s_min, the largest of the three limits, and since 1/s_min - 1/s exceeds 1/s - 1/s_max
//     |Z'_d - Z_d| <= |w_d| (e_d / s_min + |Y_d| (1/s_min - 1/s)).
//   The first part is mag scaled by |w rstd|, the second the error of rstd. The roundings of the mean, of the
//   square root and of the two products are a few eps32 |Z_d|: the 8 eps32 of the first part holds them.
//
// SiLU, Z = f(Y) = Y sigmoid(Y), |f''| <= 1/2: by the chain rule |Z' - Z| <= |f'(Y)| e + e^2 / 4. Evaluating f adds an error
//   relative to Z (where f' vanishes nothing else would hold it): (8 eps32 + eps_t) |Z|.
//
// Rounding before the gate adds the unit roundoff of the type, 2 eps_t (|Z| + e), and half a subnormal step for f16.
//
// Gate: O = Z a has error e |a|; the error of a itself is relative to a, and the constants of c hold it.
//   O = Z + a has error e + c |a|.
//
// The store rounds once: 2 eps |O| with eps = eps32 or eps_t, and half a subnormal step for f16. f32 intermediates below the
// smallest normal number may be flushed: 2^-126, times |g| where SiLU multiplies with it, per unit of mag or Z.
#include "reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "number.h"

namespace gatest {
namespace {

constexpr double kEps32 = 0x1p-23;
constexpr double kSmallestNormal = 0x1p-126;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// eps_t of the bound; 0 for f32.
double storage_eps(ga_dtype dtype) {
  if (dtype == GA_BF16) return 0x1p-9;
  if (dtype == GA_F16) return 0x1p-12;
  return 0;
}

double element(const ga_tensor &tensor, int64_t batch, int64_t sequence, int64_t head, int64_t dim) {
  const int64_t offset = element_offset(tensor, batch, sequence, head, dim) * size_of(tensor.dtype);
  return load(tensor.dtype, static_cast<const std::byte *>(tensor.data) + offset);
}

// The keys of one sequence and one key/value head, as dense rows.
struct KeyRows {
  int64_t first = 0;
  int64_t count = 0;
  std::vector<double> k;  // [count, D]
  std::vector<double> v;  // [count, Dv]
};

KeyRows load_keys(const ga_attention_params &params, int64_t batch, int64_t head) {
  KeyRows rows;
  const int64_t length = key_length(params, batch);
  rows.first = visible_keys(params, length, 0).first;
  rows.count = std::max<int64_t>(0, visible_keys(params, length, params.seq_q - 1).end - rows.first);
  rows.k.reserve(static_cast<size_t>(rows.count * params.head_dim));
  rows.v.reserve(static_cast<size_t>(rows.count * params.head_dim_v));
  for (int64_t key = rows.first; key < rows.first + rows.count; ++key) {
    for (int64_t d = 0; d < params.head_dim; ++d) rows.k.push_back(element(params.k, batch, key, head, d));
    for (int64_t d = 0; d < params.head_dim_v; ++d) rows.v.push_back(element(params.v, batch, key, head, d));
  }
  return rows;
}

// One query row of one head on its way to the output: value and allowed error per element of Dv.
struct Row {
  std::vector<double> value;
  std::vector<double> error;
  std::vector<double> mag;
  double lse = -kInfinity;
  double amp = 0;
  double relative = 0;  // c
};

// sink: a score without a value, of weight 0 where it is -inf.
Row attend(const ga_attention_params &params, const KeyRows &keys, KeyRange range, int64_t length,
           const std::vector<double> &query, double sink) {
  const auto value_dim = static_cast<size_t>(params.head_dim_v);
  Row row;
  row.value.resize(value_dim);
  row.error.resize(value_dim);
  row.mag.resize(value_dim);
  row.relative = kEps32 * 8 + 3 * storage_eps(params.q.dtype);
  if (range.first >= range.end) {  // exp(sink) is the whole denominator
    const bool number = sink < kInfinity;
    row.lse = number ? sink : std::numeric_limits<double>::quiet_NaN();
    if (!number) std::fill(row.value.begin(), row.value.end(), row.lse);
    return row;
  }
  const auto scale = static_cast<double>(params.scale);
  const auto cap = static_cast<double>(params.softcap);
  std::vector<double> scores;
  double highest = sink;
  for (int64_t key = range.first; key < range.end; ++key) {
    const double *k = &keys.k[static_cast<size_t>((key - keys.first) * params.head_dim)];
    double dot = 0;
    double size = 0;
    for (size_t d = 0; d < query.size(); ++d) {
      dot += query[d] * k[d];
      size += std::fabs(query[d] * k[d]);
    }
    const double score = scale * dot;
    scores.push_back(cap > 0 ? cap * std::tanh(score / cap) : score);
    highest = std::max(highest, scores.back());
    row.amp = std::max(row.amp, std::fabs(scale) * size);
  }
  double sum = std::exp(sink - highest);
  for (double &score : scores) {
    score = std::exp(score - highest);
    sum += score;
  }
  row.lse = highest + std::log(sum);
  for (size_t n = 0; n < scores.size(); ++n) {
    const double probability = scores[n] / sum;
    const double *v = &keys.v[static_cast<size_t>(range.first - keys.first) * value_dim + n * value_dim];
    for (size_t d = 0; d < value_dim; ++d) {
      row.value[d] += probability * v[d];
      row.mag[d] += probability * std::fabs(v[d]);
    }
  }
  row.relative += kEps32 * (row.amp + std::sqrt(static_cast<double>(length)) / 8);
  for (size_t d = 0; d < value_dim; ++d) row.error[d] = row.relative * row.mag[d];
  return row;
}

void rms_norm(const ga_attention_params &params, int64_t head, Row &row) {
  const auto dim = static_cast<double>(row.value.size());
  double squares = 0;
  double cross = 0;
  double errors = 0;
  for (size_t d = 0; d < row.value.size(); ++d) {
    squares += row.value[d] * row.value[d] / dim;
    cross += std::fabs(row.value[d]) * row.error[d] / dim;
    errors += row.error[d] * row.error[d] / dim;
  }
  const auto eps = static_cast<double>(params.norm_eps);
  const double root = std::sqrt(squares + eps);
  if (root == 0) return;  // a row of zeros stays one
  const double root_min =
      std::max({std::sqrt(std::max(0.0, root * root - 2 * cross)), root - std::sqrt(errors), std::sqrt(eps)});
  for (size_t d = 0; d < row.value.size(); ++d) {
    const bool weighted = params.norm_weight.data != nullptr;
    const double weight = weighted ? element(params.norm_weight, 0, 0, head, static_cast<int64_t>(d)) : 1.0;
    row.error[d] = std::fabs(weight) * (row.error[d] / root_min + std::fabs(row.value[d]) * (1 / root_min - 1 / root));
    row.value[d] *= weight / root;
  }
}

void silu(const ga_attention_params &params, Row &row) {
  for (size_t d = 0; d < row.value.size(); ++d) {
    const double y = row.value[d];
    const double e = row.error[d];
    const double sigmoid = activate(GA_SIGMOID, y);
    const double slope = sigmoid * (1 + y * (1 - sigmoid));
    row.value[d] = y * sigmoid;
    row.error[d] =
        std::fabs(slope) * e + e * e / 4 + (8 * kEps32 + storage_eps(params.q.dtype)) * std::fabs(row.value[d]);
  }
}

void apply_gate(const ga_attention_params &params, int64_t batch, int64_t query, int64_t head, Row &row) {
  const double eps = storage_eps(params.out.dtype);
  const double subnormal = params.out.dtype == GA_F16 ? 0x1p-25 : 0;
  for (size_t d = 0; d < row.value.size(); ++d) {
    if ((params.flags & GA_ROUND_BEFORE_GATE) != 0)
      row.error[d] += 2 * eps * (std::fabs(row.value[d]) + row.error[d]) + subnormal;
    double flushed = kSmallestNormal * (1 + std::max(row.mag[d], std::fabs(row.value[d])));
    if (params.gate.data != nullptr) {
      const double score = element(params.gate, batch, query, head, static_cast<int64_t>(d));
      const double a = activate(params.activation, score);
      flushed *= 1 + std::fabs(score);
      if (params.combination == GA_MULTIPLY) {
        row.value[d] *= a;
        row.error[d] *= std::fabs(a);
      } else {
        row.value[d] += a;
        row.error[d] += row.relative * std::fabs(a);
      }
    }
    row.error[d] += 2 * (eps > 0 ? eps : kEps32) * std::fabs(row.value[d]) + flushed + subnormal;
  }
}

void one_row(const ga_attention_params &params, const KeyRows &keys, int64_t batch, int64_t query, int64_t head,
             Reference &result) {
  std::vector<double> q;
  for (int64_t d = 0; d < params.head_dim; ++d) q.push_back(element(params.q, batch, query, head, d));
  const int64_t length = key_length(params, batch);
  const double sink = params.sink.data != nullptr ? element(params.sink, 0, 0, head, 0) : -kInfinity;
  Row row = attend(params, keys, visible_keys(params, length, query), length, q, sink);
  const auto at = static_cast<size_t>((batch * params.seq_q + query) * params.heads_q + head);
  result.lse[at] = row.lse;
  result.lse_bound[at] = (params.q.dtype == GA_F32 ? 1e-5 : 2e-3) + kEps32 * row.amp + 1e-5 * std::fabs(row.lse);
  if (params.pre_gate == GA_PRE_RMS_NORM) rms_norm(params, head, row);
  if (params.pre_gate == GA_PRE_SILU) silu(params, row);
  apply_gate(params, batch, query, head, row);
  const auto begin = static_cast<std::ptrdiff_t>(at * row.value.size());
  std::copy(row.value.begin(), row.value.end(), result.out.begin() + begin);
  std::copy(row.error.begin(), row.error.end(), result.out_bound.begin() + begin);
}

}  // namespace

KeyRange visible_keys(const ga_attention_params &params, int64_t length, int64_t query) {
  const int64_t diagonal = query + length - params.seq_q;
  // Wider than every distance between a key and a diagonal: as good as unlimited, and it cannot overflow.
  const int64_t widest = length + params.seq_q;
  KeyRange range{0, length};
  if (params.window_left >= 0) range.first = std::max(range.first, diagonal - std::min(params.window_left, widest));
  if (params.window_right >= 0) range.end = std::min(range.end, diagonal + std::min(params.window_right, widest) + 1);
  if ((params.flags & GA_CAUSAL) != 0) range.end = std::min(range.end, diagonal + 1);
  return range;
}

int64_t key_length(const ga_attention_params &params, int64_t batch) {
  if (params.key_lengths.data == nullptr) return params.seq_k;
  return static_cast<int64_t>(element(params.key_lengths, batch, 0, 0, 0));
}

int64_t element_offset(const ga_tensor &tensor, int64_t batch, int64_t sequence, int64_t head, int64_t dim) {
  return batch * tensor.stride[0] + sequence * tensor.stride[1] + head * tensor.stride[2] + dim * tensor.stride[3];
}

double activate(ga_activation activation, double score) {
  const double sigmoid = 1 / (1 + std::exp(-score));
  switch (activation) {
    case GA_SIGMOID: return sigmoid;
    case GA_SILU: return score * sigmoid;
    case GA_IDENTITY: return score;
    case GA_NS_SIGMOID: return 0.5 + 0.5 * sigmoid;
    case GA_TWO_SIGMOID: return 2 * sigmoid;
    case GA_SOFTPLUS: return std::max(score, 0.0) + std::log1p(std::exp(-std::fabs(score)));
    case GA_TANH: return std::tanh(score);
    default: return std::numeric_limits<double>::quiet_NaN();
  }
}

Reference reference_forward(const ga_attention_params &params) {
  const int64_t rows = params.batch * params.seq_q * params.heads_q;
  const int64_t group = params.heads_q / params.heads_kv;
  Reference result;
  result.out.resize(static_cast<size_t>(rows * params.head_dim_v));
  result.out_bound.resize(result.out.size());
  result.lse.resize(static_cast<size_t>(rows));
  result.lse_bound.resize(result.lse.size());
  if (rows == 0) return result;
  for (int64_t b = 0; b < params.batch; ++b) {
    for (int64_t kv = 0; kv < params.heads_kv; ++kv) {
      const KeyRows keys = load_keys(params, b, kv);
      for (int64_t h = kv * group; h < (kv + 1) * group; ++h) {
        for (int64_t i = 0; i < params.seq_q; ++i) one_row(params, keys, b, i, h, result);
      }
    }
  }
  return result;
}

}  // namespace gatest
