// What a row of the output contributes to its gradients before any key is looked at: Delta, dY, and the gradients of gate, norm
// weight and sink.
//
//   O = Z a(G) or Z + a(G), Z = pre(Y):    dZ = a(G) dO or dO        dG = dO Z a'(G) or dO a'(G)
//   RMSNorm, Y^ = Y / rms(Y), Z = w Y^:    dw = sum dZ Y^            dY = (w dZ - Y^ mean(w dZ Y^)) / rms(Y)
//   SiLU, Z = Y sigmoid(Y):                dY = dZ sigmoid(Y) (1 + Y sigmoid(-Y))
//   Delta = sum dY Y                       dsink = -sum exp(sink - L) Delta
//
// Without pre and with an activation above 0, O tells it all: Delta = sum dO O, dG = dO O a'(G) / a(G). A head-wise one need not
// touch dO either: with a(g) taken into L and out of Delta, dO takes the place of dY in everything that follows.
#pragma once

#include <type_traits>

#include "core/sequence.h"
#include "cpu/epilogue.h"
#include "cpu/pack.h"
#include "cpu/slope.h"

namespace ga::GA_ISA {
namespace {

// Vectors and single elements of any of the three types, at d elements after the begin of a row.
template <class E>
GA_INLINE void store_some(char *row, int64_t d, int n, F x) {
  E *to = reinterpret_cast<E *>(row) + d;
  if (n < kWidth)
    store(to, x, n);
  else
    store(to, x);
}

GA_INLINE void store_row(ga_dtype type, char *row, int64_t d, int n, F x) {
  switch (type) {
    case GA_BF16: return store_some<bf16>(row, d, n, x);
    case GA_F16: return store_some<f16>(row, d, n, x);
    default: return store_some<float>(row, d, n, x);
  }
}

GA_INLINE void store_one(ga_dtype type, char *at, float x) {
  float copies[kWidth];
  switch (type) {
    case GA_BF16: store(reinterpret_cast<bf16 *>(copies), set(x)); break;
    case GA_F16: store(reinterpret_cast<f16 *>(copies), set(x)); break;
    default: copies[0] = x;
  }
  __builtin_memcpy(at, copies, type == GA_F32 ? 4 : 2);
}

GA_INLINE float first_of(F x) {
  float copies[kWidth];
  store(copies, x);
  return copies[0];
}

GA_INLINE int lanes_left(int64_t d, int64_t columns) {
  return columns - d < kWidth ? static_cast<int>(columns - d) : kWidth;
}

// dims: as many elements, or a single one.
GA_INLINE void store_gradient(const View &view, char *row, const float *from, int64_t dims) {
  if (dims == 1) return store_one(view.dtype, row, from[0]);
  for (int64_t d = 0; d < dims; d += kWidth) {
    const int n = lanes_left(d, dims);
    store_row(view.dtype, row, d, n, n < kWidth ? load(from + d, n) : load(from + d));
  }
}

// The power of two at or below x, within what has a reciprocal; 1 of 0, infinity and NaN.
GA_INLINE float power_below(float x) {
  union {
    float f;
    uint32_t u;
  } bits = {x};
  bits.u &= 0x7f800000u;
  return bits.u == 0 || bits.u > 0x7e000000u ? 1.0f : bits.f;
}

GA_INLINE void fill_zero(float *to, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] = 0;
}

// Of a row. Products with V use dY as it was stored: so does their Delta, or the difference would not cancel where it should. The
// sink's gradient is Delta itself, whose terms may cancel to nothing: of a dY in 16 bits all that was rounded off would be left.
struct Delta {
  float own, stored;  // of dY as it is, and as it was stored
};

template <class Product, class T>
class BackwardRows {
 public:
  BackwardRows(const BackwardProblem &p, const BackwardSchedule &s, const View &ungated, char *shared, char *own,
               int64_t unit, int64_t task);
  void run();

 private:
  // Where Y is known, it alone errs by 16 bits at most; O brings the forward pass's own a(G) along.
  static constexpr Precision kOfOut = sizeof(T) == 4 ? kFine : kCoarse;
  static constexpr bool kRoundsDy = Product::kPack == 2;
  static constexpr int64_t kAhead = 3;                        // positions
  using Stored = std::conditional_t<kRoundsDy, bf16, float>;  // dY, as it is multiplied

  enum Kind { kUngated, kAdded, kFromOut, kMultiplied };

  struct Row {
    const T *dout;
    const char *y, *gate;  // y: Y or O
    F score;               // the head-wise gate's
    Stored *dy;
    float *gate_sum;  // where the gate's gradient is added; nullptr: to dgate
    char *dgate;
  };

  struct DeltaSums {
    F own = zero(), stored = zero();

    GA_ALWAYS_INLINE void add_terms(F dy, F dy_stored, F y) {
      own = fma(dy, y, own);
      if constexpr (kRoundsDy) stored = fma(dy_stored, y, stored);
    }
    GA_ALWAYS_INLINE Delta total() const {
      const float sum = reduce_add(own);
      return {sum, kRoundsDy ? reduce_add(stored) : sum};
    }
  };

  F dout(const Row &r, int64_t d, int n) const { return n < kWidth ? load(r.dout + d, n) : load(r.dout + d); }
  template <bool usual = false>
  GA_ALWAYS_INLINE F value(const Row &r, int64_t d, int n) const {
    return usual ? load(reinterpret_cast<const T *>(r.y) + d) : load_row(y_, r.y, d, n);
  }
  template <bool usual = false>
  GA_ALWAYS_INLINE F score(const Row &r, int64_t d, int n) const {
    if (usual) return load(reinterpret_cast<const T *>(r.gate) + d);
    return one_score_ ? r.score : load_row(p_.gate, r.gate, d, n);
  }
  // Returns dY as it was stored, or would be.
  GA_ALWAYS_INLINE F keep_dy(const Row &r, int64_t d, int n, F dy) const {
    if (s_.attends) store_some<Stored>(reinterpret_cast<char *>(r.dy), d, n, dy);
    if constexpr (kRoundsDy) return rounded<bf16>(dy);
    return dy;
  }
  template <bool usual = false>
  GA_ALWAYS_INLINE void keep_dgate(const Row &r, int64_t d, int n, F x, F &sum) const {
    if (usual) {
      store(reinterpret_cast<T *>(r.dgate) + d, x);
    } else if (one_score_) {
      sum = add(sum, x);
    } else if (r.gate_sum) {
      add_to(r.gate_sum + d, n, x);
    } else if (r.dgate) {
      store_row(p_.dgate.dtype, r.dgate, d, n, x);
    }
  }
  GA_ALWAYS_INLINE static void add_to(float *to, int n, F x) {
    if (n < kWidth)
      store(to, add(load(to, n), x), n);
    else
      store(to, add(load(to), x));
  }

  // Rows lie far apart in memory: no hardware foresees the one after the next. Inline: GCC drops calls of what only prefetches.
  GA_ALWAYS_INLINE void prefetch(int64_t e, int64_t i, int64_t h) const {
    const auto fetch = [&](const View &view) __attribute__((always_inline)) {
      const char *row = view.at(e, i, h);
      const int64_t bytes = p_.head_dim_v * view.dim * view.element_bytes;
      for (int64_t byte = 0; byte < bytes; byte += 64) __builtin_prefetch(row + byte);
    };
    fetch(p_.dout);
    fetch(y_);
    if (p_.gate.data) fetch(p_.gate);
  }
  void row(int64_t e, int64_t i, int64_t h);
  template <Kind kind, bool usual = false>
  Delta plain(const Row &r, F &dgate) const;
  Delta prepared(const Row &r, int64_t h, F &dgate) const;
  Delta normalized(const Row &r, int64_t h, F &dgate) const;
  Delta folded(const Row &r, F &dgate, float &lse) const;
  void finish_dgate(const Row &r, F sum) const;
  void add_sink(int64_t h, float lse, float delta) const;
  void write_row_sums(int64_t e, int64_t i) const;
  void blank_dgate(int64_t e, int64_t i) const;
  int64_t queries(int64_t e) const { return p_.query_lengths.data ? sequence_of(p_, e).queries : p_.seq_q; }

  const BackwardProblem &p_;
  const BackwardSchedule &s_;
  const View &y_;
  bool from_out_, one_score_, row_sums_;
  bool usual_;  // an element-wise sigmoid gate, nothing summed up, whole vectors, one type: worth a loop of its own
  int64_t first_entry_, first_head_, first_, end_;
  float *lse_, *delta_;  // stored_row()
  Stored *dy_;           // likewise [head_dim_v]
  float *gate_sums_, *weight_sums_, *sink_sums_;
  float *in_row_;  // the gate's gradient over heads or batch: [heads or 1][gate_dims]
};

template <class Product, class T>
BackwardRows<Product, T>::BackwardRows(const BackwardProblem &p, const BackwardSchedule &s, const View &ungated,
                                       char *shared, char *own, int64_t unit, int64_t task)
    : p_(p), s_(s), y_(ungated.data ? ungated : p.out) {
  from_out_ = !ungated.data;
  one_score_ = p.gate.data && p.gate.dim == 0;
  row_sums_ = !s.sums_sequence && (s.sums_heads || s.sums_batch);
  const auto whole = [&](const View &view) { return view.dtype == p.q.dtype && view.dim == 1; };
  usual_ = p.activation == GA_SIGMOID && !s.sums_sequence && !row_sums_ && p.gate.data && p.dgate.data && whole(y_) &&
           whole(p.gate) && whole(p.dgate) && p.head_dim_v % kWidth == 0;
  const int64_t groups = s.splits_heads ? p.heads_kv : 1;
  first_entry_ = unit / groups;
  first_head_ = unit % groups * p.group;
  first_ = task * kBackwardRows;
  end_ = first_ + kBackwardRows < p.seq_q ? first_ + kBackwardRows : p.seq_q;
  lse_ = reinterpret_cast<float *>(shared + s.lse_offset);
  delta_ = reinterpret_cast<float *>(shared + s.delta_offset);
  dy_ = reinterpret_cast<Stored *>(shared + s.dy_offset);
  const int64_t at = unit * s.row_tasks + task;
  gate_sums_ = reinterpret_cast<float *>(shared + s.gate_sums_offset) + at * s.gate_slots * s.gate_dims;
  weight_sums_ = reinterpret_cast<float *>(shared + s.weight_sums_offset) + at * s.weight_slots * s.weight_dims;
  sink_sums_ = reinterpret_cast<float *>(shared + s.sink_sums_offset) + at * s.sink_slots;
  in_row_ = reinterpret_cast<float *>(own);
}

template <class Product, class T>
void BackwardRows<Product, T>::run() {
  GA_STAGE(kRowEnds);
  fill_zero(gate_sums_, s_.gate_slots * s_.gate_dims);
  fill_zero(weight_sums_, s_.weight_slots * s_.weight_dims);
  fill_zero(sink_sums_, s_.sink_slots);
  for (int64_t i = first_; i < end_; i++) {
    if (row_sums_) fill_zero(in_row_, (s_.sums_heads ? 1 : s_.row_heads) * s_.gate_dims);
    for (int64_t e = first_entry_; e < first_entry_ + s_.row_entries; e++) {
      const int64_t end = queries(e);
      if (i >= end) {
        if (!row_sums_ && !s_.sums_sequence) blank_dgate(e, i);
        continue;
      }
      for (int64_t h = first_head_; h < first_head_ + s_.row_heads; h++) {
        if (i + kAhead < end) prefetch(e, i + kAhead, h);
        row(e, i, h);
      }
    }
    if (row_sums_) write_row_sums(first_entry_, i);
  }
}

template <class Product, class T>
void BackwardRows<Product, T>::row(int64_t e, int64_t i, int64_t h) {
  const int64_t index = stored_row(p_, e, i, h), slot = s_.sums_heads ? 0 : h - first_head_;
  Row r = {};
  r.dout = reinterpret_cast<const T *>(p_.dout.at(e, i, h));
  r.y = y_.at(e, i, h);
  r.gate = p_.gate.data ? p_.gate.at(e, i, h) : nullptr;
  if (one_score_) r.score = load_row(p_.gate, r.gate, 0, kWidth);
  r.dy = dy_ + index * p_.head_dim_v;
  if (s_.sums_sequence)
    r.gate_sum = gate_sums_ + slot * s_.gate_dims;
  else if (row_sums_)
    r.gate_sum = in_row_ + slot * s_.gate_dims;
  else if (p_.dgate.data)
    r.dgate = p_.dgate.at(e, i, h);

  float lse = *reinterpret_cast<const float *>(p_.lse.at(e, i, h));
  F dgate = zero();
  const float own_lse = lse;
  Delta delta;
  if (s_.folds_gate)
    delta = folded(r, dgate, lse);
  else if (p_.pre_gate == GA_PRE_RMS_NORM)
    delta = normalized(r, h, dgate);
  else if (p_.pre_gate == GA_PRE_SILU)
    delta = prepared(r, h, dgate);
  else if (!r.gate)
    delta = plain<kUngated>(r, dgate);
  else if (p_.combination == GA_ADD)
    delta = plain<kAdded>(r, dgate);
  else
    delta = !from_out_ ? plain<kMultiplied>(r, dgate)
            : usual_   ? plain<kFromOut, true>(r, dgate)
                       : plain<kFromOut>(r, dgate);
  if (one_score_) finish_dgate(r, dgate);
  if (s_.sink_slots) add_sink(h, own_lse, delta.own);
  if (!s_.attends) return;
  // A row that sees no key weighs none; the largest number keeps exponents of what it does not see finite.
  lse_[index] = lse == -__builtin_inff() ? 1.0e38f : lse;
  delta_[index] = delta.stored;
}

template <class Product, class T>
template <typename BackwardRows<Product, T>::Kind kind, bool usual>
Delta BackwardRows<Product, T>::plain(const Row &r, F &dgate) const {
  DeltaSums delta;
  for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
    const int n = usual ? kWidth : lanes_left(d, p_.head_dim_v);
    const F o = dout(r, d, n), y = value<usual>(r, d, n);
    if constexpr (kind == kUngated) {
      delta.add_terms(o, o, y);
    } else if constexpr (kind == kAdded) {
      delta.add_terms(o, o, y);
      keep_dgate(r, d, n, activation_of<kFine>(p_.activation, score(r, d, n)).times_slope(o), dgate);
    } else if constexpr (kind == kFromOut) {
      const Activation a = relative_slope_of<kOfOut>(usual ? GA_SIGMOID : p_.activation, score<usual>(r, d, n));
      const F product = mul(o, y), dy = keep_dy(r, d, n, mul(a.value, o));
      keep_dgate<usual>(r, d, n, a.times_slope(product), dgate);
      delta.own = add(delta.own, product);
      if constexpr (kRoundsDy) delta.stored = fma(dy, mul(y, reciprocal_estimate(a.value)), delta.stored);
    } else {
      const Activation a = activation_of<kFine>(p_.activation, score(r, d, n));
      const F dy = mul(a.value, o);
      keep_dgate(r, d, n, a.times_slope(mul(o, y)), dgate);
      delta.add_terms(dy, keep_dy(r, d, n, dy), y);
    }
  }
  return delta.total();
}

// Z = Y sigmoid(Y).
template <class Product, class T>
Delta BackwardRows<Product, T>::prepared(const Row &r, int64_t, F &dgate) const {
  DeltaSums delta;
  for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
    const int n = lanes_left(d, p_.head_dim_v);
    const F y = value(r, d, n);
    const Activation z = activation_of<kFine>(GA_SILU, y);
    F dz = dout(r, d, n);
    if (r.gate) {
      const Activation a = activation_of<kFine>(p_.activation, score(r, d, n));
      const bool added = p_.combination == GA_ADD;
      keep_dgate(r, d, n, a.times_slope(added ? dz : mul(dz, z.value)), dgate);
      if (!added) dz = mul(dz, a.value);
    }
    const F dy = z.times_slope(dz);
    delta.add_terms(dy, keep_dy(r, d, n, dy), y);
  }
  return delta.total();
}

// Z = w Y / sqrt(mean Y^2 + eps).
template <class Product, class T>
Delta BackwardRows<Product, T>::normalized(const Row &r, int64_t h, F &dgate) const {
  const int64_t columns = p_.head_dim_v;
  // Beside a sink Y may be so small that its square is none: it is squared as a multiple of its largest element's power of two.
  F largest = zero(), squares = zero();
  for (int64_t d = 0; d < columns; d += kWidth) largest = max(largest, abs(value(r, d, lanes_left(d, columns))));
  const float unit = power_below(reduce_max(largest));
  const F shrink = set(1 / unit);
  for (int64_t d = 0; d < columns; d += kWidth) {
    const F y = mul(value(r, d, lanes_left(d, columns)), shrink);
    squares = fma(y, y, squares);
  }
  const double mean = static_cast<double>(reduce_add(squares)) / static_cast<double>(columns) * unit * unit + p_.norm_eps;
  const F factor = set(mean == 0 ? 0.0f : static_cast<float>(1 / __builtin_sqrt(mean)));  // a row of zeros stays one

  const char *weight = p_.norm_weight.data ? p_.norm_weight.at(0, 0, h) : nullptr;
  const bool shared = p_.dnorm_weight.data && p_.heads_q > 1 && p_.dnorm_weight.head == 0;
  float *weight_sum = p_.dnorm_weight.data ? weight_sums_ + (shared ? 0 : h - first_head_) * s_.weight_dims : nullptr;
  F one_weight = zero(), along = zero();
  // Twice over the row: dz is cheap enough to be had again.
  const auto gradient_of_z = [&](int64_t d, int n, F z, bool keep) {
    const F dz = dout(r, d, n);
    if (!r.gate) return dz;
    const Activation a = activation_of<kFine>(p_.activation, score(r, d, n));
    const bool added = p_.combination == GA_ADD;
    if (keep) keep_dgate(r, d, n, a.times_slope(added ? dz : mul(dz, z)), dgate);
    return added ? dz : mul(dz, a.value);
  };
  for (int64_t d = 0; d < columns; d += kWidth) {
    const int n = lanes_left(d, columns);
    const F y = mul(value(r, d, n), factor), w = weight ? load_row(p_.norm_weight, weight, d, n) : set(1.0f);
    const F dz = gradient_of_z(d, n, mul(w, y), true), dw = mul(dz, y);
    if (weight_sum && s_.weight_dims > 1) add_to(weight_sum + d, n, dw);
    one_weight = add(one_weight, dw);
    along = fma(w, dw, along);
  }
  if (weight_sum && s_.weight_dims == 1) weight_sum[0] += reduce_add(one_weight);
  const F share = set(reduce_add(along) / static_cast<float>(columns));
  DeltaSums delta;
  for (int64_t d = 0; d < columns; d += kWidth) {
    const int n = lanes_left(d, columns);
    const F raw = value(r, d, n), y = mul(raw, factor), w = weight ? load_row(p_.norm_weight, weight, d, n) : set(1.0f);
    const F dz = gradient_of_z(d, n, zero(), false), dy = mul(factor, fnma(y, share, mul(w, dz)));
    delta.add_terms(dy, keep_dy(r, d, n, dy), raw);
  }
  return delta.total();
}

// A head-wise factor above 0 joins L and Delta, as the products need them.
template <class Product, class T>
Delta BackwardRows<Product, T>::folded(const Row &r, F &dgate, float &lse) const {
  F sum = zero();
  for (int64_t d = 0; d < p_.head_dim_v; d += kWidth) {
    const int n = lanes_left(d, p_.head_dim_v);
    sum = fma(dout(r, d, n), value(r, d, n), sum);
  }
  const float dot = reduce_add(sum);
  const Activation a = relative_slope_of<kOfOut>(p_.activation, r.score);
  const float factor = first_of(a.value);
  const float own = from_out_ ? dot : dot * factor;
  dgate = keep_range(a.times_slope(set(own)), 0, 1, zero());
  if (lse != -__builtin_inff()) lse -= kLn2 * log2_scalar(factor);
  return {own, from_out_ ? (dot == 0 ? 0.0f : dot / factor) : dot};
}

template <class Product, class T>
void BackwardRows<Product, T>::finish_dgate(const Row &r, F sum) const {
  const float x = reduce_add(sum);
  if (r.gate_sum)
    r.gate_sum[0] += x;
  else if (r.dgate)
    store_one(p_.dgate.dtype, r.dgate, x);
}

template <class Product, class T>
void BackwardRows<Product, T>::add_sink(int64_t h, float lse, float delta) const {
  const float sink = first_of(load_row(p_.sink, p_.sink.at(0, 0, h), 0, kWidth));
  if (sink == -__builtin_inff()) return;  // a term of 0
  const bool shared = p_.heads_q > 1 && p_.dsink.head == 0;
  const float weight = static_cast<float>(exp2_scalar((static_cast<double>(sink) - lse) * kLog2EDouble));
  sink_sums_[shared ? 0 : h - first_head_] -= weight * delta;
}

template <class Product, class T>
void BackwardRows<Product, T>::write_row_sums(int64_t e, int64_t i) const {
  for (int64_t slot = 0; slot < (s_.sums_heads ? 1 : s_.row_heads); slot++)
    store_gradient(p_.dgate, p_.dgate.at(e, i, first_head_ + slot), in_row_ + slot * s_.gate_dims, s_.gate_dims);
}

template <class Product, class T>
void BackwardRows<Product, T>::blank_dgate(int64_t e, int64_t i) const {
  if (!p_.dgate.data) return;
  alignas(64) const float zeros[kBackwardZeros] = {};
  for (int64_t h = first_head_; h < first_head_ + s_.row_heads; h++)
    store_gradient(p_.dgate, p_.dgate.at(e, i, h), zeros, s_.gate_dims);
}

template <class Product, class T>
static void backward_rows(const BackwardProblem &p, const BackwardSchedule &s, const View &ungated, char *shared,
                          char *own, int64_t unit, int64_t task) {
  BackwardRows<Product, T>(p, s, ungated, shared, own, unit, task).run();
}

// Sums of what the tasks of the rows left, in their order.
class RowSums {
 public:
  RowSums(const BackwardProblem &p, const BackwardSchedule &s) : p_(p), s_(s) {}

  // A gradient [entries or 1][heads_q or 1] of rows of dims.
  void write(const View &gradient, const char *sums, int64_t slots, int64_t dims, bool over_batch,
             bool over_heads) const {
    if (slots == 0) return;
    alignas(64) float total[kBackwardZeros];
    const int64_t entries = s_.row_units / groups();
    for (int64_t e = 0; e < (over_batch ? 1 : entries); e++)
      for (int64_t h = 0; h < (over_heads ? 1 : p_.heads_q); h++) {
        fill_zero(total, dims);
        const int64_t slot = over_heads ? 0 : h % s_.row_heads;
        const int64_t group = over_heads ? 0 : h / s_.row_heads, end = over_heads ? groups() : group + 1;
        for (int64_t from = over_batch ? 0 : e; from < (over_batch ? entries : e + 1); from++)
          for (int64_t g = group; g < end; g++)
            for (int64_t t = 0; t < s_.row_tasks; t++) {
              const int64_t task = (from * groups() + g) * s_.row_tasks + t;
              const float *part = reinterpret_cast<const float *>(sums) + (task * slots + slot) * dims;
              for (int64_t d = 0; d < dims; d++) total[d] += part[d];
            }
        store_gradient(gradient, gradient.at(e, 0, h), total, dims);
      }
  }

 private:
  int64_t groups() const { return s_.splits_heads ? p_.heads_kv : 1; }

  const BackwardProblem &p_;
  const BackwardSchedule &s_;
};

static void backward_sums(const BackwardProblem &p, const BackwardSchedule &s, const char *shared) {
  const RowSums sums(p, s);
  sums.write(p.dgate, shared + s.gate_sums_offset, s.gate_slots, s.gate_dims, s.sums_batch, s.sums_heads);
  const auto over_heads = [&](const View &gradient) { return p.heads_q > 1 && gradient.head == 0; };
  sums.write(p.dnorm_weight, shared + s.weight_sums_offset, s.weight_slots, s.weight_dims, true,
             over_heads(p.dnorm_weight));
  sums.write(p.dsink, shared + s.sink_sums_offset, s.sink_slots, 1, true, over_heads(p.dsink));
}

}  // namespace
}  // namespace ga::GA_ISA
