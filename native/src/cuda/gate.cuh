// The end of a row on a GPU: softmax denominator and sink, log-sum-exp, pre-gate step, activation, combination, rounding.
//
// A kernel calls it in this order, whatever layout its accumulators have:
//   row    = denominator(p, h, sum, maximum)      sum and maximum of the whole row, over all of its keys
//   factor = row_factor(row)                      or, with RMSNorm, norm_factor(p, row, squares): squares is the sum over the
//                                                 row of (y * row.keys)^2, which only the kernel can reduce
//   x      = finish_element<T>(p, y * factor, weight, a)     with a = activate<precision<T>()>(p.activation, gate)
// finish_row does the last line for a row that lies in shared memory, one element per thread and turn.
// On the host, where the emulator runs kernels, the same lines compile as plain C++.
#pragma once

#include <cmath>

#include "core/number.h"
#include "core/problem.h"

namespace ga::cuda {

constexpr float kLog2E = 1.44269504f, kLog2ELow = 1.92596299e-8f, kLn2 = 0.693147181f;

// ---- elements

static GA_ALWAYS_INLINE float float_of_bits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  union {
    uint32_t u;
    float f;
  } both = {bits};
  return both.f;
#endif
}

static GA_ALWAYS_INLINE uint32_t bits_of_float(float x) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(x);
#else
  union {
    float f;
    uint32_t u;
  } both = {x};
  return both.u;
#endif
}

static GA_ALWAYS_INLINE float widen(float x) { return x; }
static GA_ALWAYS_INLINE float widen(bf16 x) { return float_of_bits(static_cast<uint32_t>(x.bits) << 16); }
static GA_ALWAYS_INLINE float widen(f16 x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
  return y;
#else
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16, magnitude = x.bits & 0x7fff;
  if (magnitude >= 0x7c00) return float_of_bits(sign | 0x7f800000u | (magnitude & 0x3ff) << 13);
  return float_of_bits(sign | bits_of_float(float_of_bits(magnitude << 13) * 0x1p112f));  // exact, subnormal ones too
#endif
}
static GA_ALWAYS_INLINE float widen(i8 x) { return static_cast<float>(x.bits); }

// To the nearest, ties to even; NaN stays NaN.
template <class T>
GA_ALWAYS_INLINE T narrow(float x);
template <>
GA_ALWAYS_INLINE float narrow<float>(float x) {
  return x;
}
template <>
GA_ALWAYS_INLINE bf16 narrow<bf16>(float x) {
#ifdef __CUDA_ARCH__
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %1;" : "=r"(pair) : "f"(x));
  return {static_cast<uint16_t>(pair)};
#else
  const uint32_t bits = bits_of_float(x);
  if (x != x) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};
#endif
}
template <>
GA_ALWAYS_INLINE f16 narrow<f16>(float x) {
#ifdef __CUDA_ARCH__
  uint16_t bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(x));
  return {bits};
#else
  const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude >= 0x477ff000) return {static_cast<uint16_t>(sign | 0x7c00)};  // 65520 and above
  if (magnitude < 0x38800000)  // subnormal: the sum's last bit is worth 2^-24
    return {static_cast<uint16_t>(sign | (bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u))};
  return {static_cast<uint16_t>(sign | (magnitude - 0x38000000u + 0xfff + (magnitude >> 13 & 1)) >> 13)};
#endif
}

// low in the lower half: the order of two neighbors in memory, and of an mma fragment.
template <class T>
GA_ALWAYS_INLINE uint32_t narrow_pair(float low, float high);
template <>
GA_ALWAYS_INLINE uint32_t narrow_pair<bf16>(float low, float high) {
#ifdef __CUDA_ARCH__
  uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return narrow<bf16>(low).bits | static_cast<uint32_t>(narrow<bf16>(high).bits) << 16;
#endif
}
template <>
GA_ALWAYS_INLINE uint32_t narrow_pair<f16>(float low, float high) {
#ifdef __CUDA_ARCH__
  uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
#else
  return narrow<f16>(low).bits | static_cast<uint32_t>(narrow<f16>(high).bits) << 16;
#endif
}

// The two elements of such a pair.
template <class T>
GA_ALWAYS_INLINE float widen_low(uint32_t pair) {
  return widen(T{static_cast<uint16_t>(pair)});
}
template <class T>
GA_ALWAYS_INLINE float widen_high(uint32_t pair) {
  return widen(T{static_cast<uint16_t>(pair >> 16)});
}

// Element d of a row of any type; stride is 0 or 1.
template <class T>
GA_ALWAYS_INLINE float load_element(const char *row, int64_t stride, int64_t d) {
  return widen(reinterpret_cast<const T *>(row)[d * stride]);
}
static GA_ALWAYS_INLINE float load_element(const View &view, const char *row, int64_t d) {
  switch (view.dtype) {
    case GA_BF16: return load_element<bf16>(row, view.dim, d);
    case GA_F16: return load_element<f16>(row, view.dim, d);
    case GA_I8: return load_element<i8>(row, view.dim, d);
    default: return load_element<float>(row, view.dim, d);
  }
}

// x as it would be after a round trip through memory in type T.
template <class T>
GA_ALWAYS_INLINE float rounded(float x) {
  return widen(narrow<T>(x));
}

// ---- activations

// kFine errs by about one ulp of f32; kCoarse (under 1e-5 relative) is for values that are rounded to 16 bits next.
enum Precision { kCoarse, kFine };
template <class T>
GA_ALWAYS_INLINE constexpr Precision precision() {
  return sizeof(T) == 4 ? kFine : kCoarse;
}

// 2^x and 1 / x by one instruction each: 2 ulp and 1 ulp, subnormal numbers are 0.
static GA_ALWAYS_INLINE float exp2_estimate(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}
static GA_ALWAYS_INLINE float reciprocal_estimate(float x) {
#ifdef __CUDA_ARCH__
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return 1.0f / x;
#endif
}

// 1 / (1 + e^-g): the denominator is between 1 and infinity, whose reciprocal is 0, so both tails are exact.
template <Precision P>
GA_ALWAYS_INLINE float sigmoid(float g) {
  if constexpr (P == kCoarse) return reciprocal_estimate(1.0f + exp2_estimate(-kLog2E * g));
  return 1.0f / (1.0f + expf(-g));
}

// The exponential form cancels near 0, where a few terms of the series do.
template <Precision P>
GA_ALWAYS_INLINE float tanh_of(float x) {
  if constexpr (P == kFine) return tanhf(x);
  const float q = x * x;
  const float near = x + x * q * (-1.0f / 3 + q * (2.0f / 15 + q * (-17.0f / 315)));
  const float far = 1.0f - 2.0f * reciprocal_estimate(1.0f + exp2_estimate(2.0f * kLog2E * x));
  return q < 0.0625f ? near : far;
}

// log(1 + e^x) = max(x, 0) + log1p(e^-|x|), and log1p(e) = 2 atanh(s) with s = e / (2 + e) <= 1/3.
template <Precision P>
GA_ALWAYS_INLINE float softplus(float x) {
  const float positive = x < 0.0f ? 0.0f : x;  // NaN goes on
  if constexpr (P == kFine) return positive + log1pf(expf(-fabsf(x)));
  const float e = exp2_estimate(-kLog2E * fabsf(x));
  const float s = e * reciprocal_estimate(e + 2.0f), q = s * s;
  return positive + s * (2.0f + q * (2.0f / 3 + q * (2.0f / 5 + q * (2.0f / 7 + q * (2.0f / 9)))));
}

template <Precision P>
GA_ALWAYS_INLINE float activate(ga_activation activation, float g) {
  switch (activation) {
    case GA_SILU: return (g < -3.40282347e38f ? 0.0f : g) * sigmoid<P>(g);  // -infinity: its limit, not infinity times 0
    case GA_IDENTITY: return g;
    case GA_NS_SIGMOID: return 0.5f + 0.5f * sigmoid<P>(g);
    case GA_TWO_SIGMOID: return 2.0f * sigmoid<P>(g);
    case GA_SOFTPLUS: return softplus<P>(g);
    case GA_TANH: return tanh_of<P>(g);
    default: return sigmoid<P>(g);
  }
}

// ---- rows

// What becomes of a row's sum over the keys, of exp2(score - maximum).
struct Denominator {
  float keys;   // normalizes the values as if there were no sink; 0 for a row that sees no key
  float share;  // the keys' share of the probability; subnormal where the sink is far above all scores, 0 below 2^-149
  float lse;    // natural logarithm of the denominator; -infinity: the row sees no key. Where p.lse is absent: 0
};

static GA_ALWAYS_INLINE Denominator without_sink(float sum, float maximum, bool want_lse) {
  if (sum == 0.0f) return {0.0f, 1.0f, -INFINITY};  // the row sees no key; a NaN is not 0 and goes on
  return {1.0f / sum, 1.0f, want_lse ? kLn2 * (maximum + log2f(sum)) : 0.0f};
}

// The larger of the two, the maximum of the keys and the sink, is the reference of both, so that neither overflows. The distance
// from one to the other is a sum of two floats: a sink may lie far from the scores, where one would round it by more than weights
// may err, and double is slow on many GPUs.
static GA_ALWAYS_INLINE Denominator with_sink(float sink, float sum, float maximum, bool want_lse) {
  if (sink < -1e37f) return without_sink(sum, maximum, want_lse);  // a term of 0
  const float number = sink * 0.0f;                                // NaN where the sink is none, or infinite
  if (sum == 0.0f) return {number, 1.0f, sink + number};           // the sink is the whole denominator
  const float near = sink > 1e37f ? 1e37f : sink;                  // of what follows, nothing overflows
#ifdef __CUDA_ARCH__
  const float high = __fmul_rn(near, kLog2E);  // not contracted with what follows
#else
  const float high = near * kLog2E;
#endif
  const float low = fmaf(near, kLog2ELow, fmaf(near, kLog2E, -high));  // high + low: the sink in powers of two
  const float distance = maximum - high, back = distance - maximum;
  const float rest = ((maximum - (distance - back)) - (high + back)) - low;  // distance + rest: the difference, exactly
  const bool keys_first = distance >= 0.0f;
  const float smaller = exp2f(-fabsf(distance));
  const float weight = smaller + smaller * kLn2 * (keys_first ? -rest : rest);
  const float keys = keys_first ? sum : sum * weight;
  const float total = (keys_first ? sum + weight : keys + 1.0f) + number;
  // Below 2^-1000 the keys count for nothing at all, whatever is divided by their share later.
  const float factor = distance < -1000.0f ? number : 1.0f / sum;
  return {factor, keys / total, !want_lse ? 0.0f : (keys_first ? kLn2 * maximum : sink) + kLn2 * log2f(total)};
}

// Of row (-, -, h): maximum in powers of two, sum relative to it; (0, -infinity) where the row sees no key.
static GA_ALWAYS_INLINE Denominator denominator(const Output &p, int64_t h, float sum, float maximum) {
  const bool want_lse = p.lse.data;
  if (!p.sink.data) return without_sink(sum, maximum, want_lse);
  return with_sink(load_element(p.sink, p.sink.at(0, 0, h), 0), sum, maximum, want_lse);
}

// What y, the sum over keys of exp2(score - maximum) * v, is multiplied by. Without RMSNorm:
static GA_ALWAYS_INLINE float row_factor(const Denominator &row) { return row.keys * row.share; }

// With it; squares: the sum of (y * row.keys)^2 over the row. The norm takes a common factor away again, but for norm_eps: so the
// sink's acts on that, and no small Y loses its bits. A row of zeros stays one, whatever norm_eps.
static GA_ALWAYS_INLINE float norm_factor(const Output &p, const Denominator &row, float squares) {
  if (row.keys == 0.0f) return 0.0f;
  const float mean = squares / static_cast<float>(p.head_dim_v);
  if (p.norm_eps == 0.0f) return mean == 0.0f ? 0.0f : row.keys / sqrtf(mean);
  if (row.share == 1.0f) return row.keys / sqrtf(mean + p.norm_eps);
  return row.keys * row.share / sqrtf(mean * row.share * row.share + p.norm_eps);
}

// One element of the output, not yet narrowed. x: normalized; weight: of RMSNorm, else 1; a: the activated gate, if there is one.
template <class T>
GA_ALWAYS_INLINE float finish_element(const Output &p, float x, float weight, float a) {
  x *= weight;
  if (p.pre_gate == GA_PRE_SILU) x *= sigmoid<precision<T>()>(x);
  if (p.round_before_gate) x = rounded<T>(x);
  if (!p.gate.data) return x;
  return p.combination == GA_ADD ? x + a : x * a;
}

// Elements first, first + step, ... of row (b, i, h) of the output: b an entry of the batch axis, i a row of the sequence axis.
template <class T>
GA_ALWAYS_INLINE void finish_row(const Output &p, int64_t b, int64_t i, int64_t h, const float *y, float factor,
                                 int first, int step) {
  const char *gate = p.gate.data ? p.gate.at(b, i, h) : nullptr;
  const char *weights = p.norm_weight.data ? p.norm_weight.at(0, 0, h) : nullptr;
  const bool one_score = gate && p.gate.dim == 0;  // head-wise
  float a = one_score ? activate<precision<T>()>(p.activation, load_element(p.gate, gate, 0)) : 1.0f;
  T *out = reinterpret_cast<T *>(p.out.at(b, i, h));
#ifdef __CUDACC__
#pragma unroll 1
#endif
  for (int d = first; d < p.head_dim_v; d += step) {
    if (gate && !one_score) a = activate<precision<T>()>(p.activation, load_element(p.gate, gate, d));
    const float weight = weights ? load_element(p.norm_weight, weights, d) : 1.0f;
    out[d] = narrow<T>(finish_element<T>(p, y[d] * factor, weight, a));
  }
}

// The element-wise sigmoid gate of the output's own type and nothing else: the case that deserves a path of its own,
// out = y * factor * sigmoid(gate).
static GA_ALWAYS_INLINE bool only_sigmoid(const Output &p) {
  return p.gate.data && p.gate.dim == 1 && p.gate.dtype == p.out.dtype && p.activation == GA_SIGMOID &&
         p.combination == GA_MULTIPLY && p.pre_gate == GA_PRE_NONE && !p.round_before_gate;
}

}  // namespace ga::cuda
