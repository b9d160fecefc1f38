#include "core/cost.h"

#include "core/sequence.h"

namespace ga {
namespace {

// The sum of clamp(first + i, 0, most) over 0 <= i < count.
double clamped_sum(int64_t first, int64_t count, int64_t most) {
  const auto clamp = [&](int64_t i) { return i < 0 ? 0 : i > count ? count : i; };
  const int64_t rising = clamp(-first), flat = clamp(most - first);  // 0 before, then first + i, then most
  const double n = static_cast<double>(flat - rising);
  return n * (static_cast<double>(first + rising) + static_cast<double>(first + flat - 1)) / 2 +
         static_cast<double>(count - flat) * static_cast<double>(most);
}

// Query-key pairs that the mask leaves, per query head.
double visible_pairs(const Problem &p, const Sequence &of) {
  const int64_t diagonal = of.keys - of.queries;
  double pairs = static_cast<double>(of.queries) * static_cast<double>(of.keys);
  if (p.window_right >= 0) pairs = clamped_sum(diagonal + p.window_right + 1, of.queries, of.keys);
  if (p.window_left >= 0) pairs -= clamped_sum(diagonal - p.window_left, of.queries, of.keys);
  return pairs;
}

template <class Each>
double sum_over_sequences(const Problem &p, const Each &each) {
  if (p.alike()) return p.batch > 0 ? static_cast<double>(p.batch) * each(sequence_of(p, 0)) : 0;
  double sum = 0;
  for (int64_t b = 0; b < p.batch; b++) sum += each(sequence_of(p, b));
  return sum;
}

double all_pairs(const Problem &p) {
  return sum_over_sequences(p, [&](const Sequence &of) { return visible_pairs(p, of); }) * p.heads_q;
}

}  // namespace

double flop(const Problem &p) { return all_pairs(p) * 2.0 * (p.head_dim + p.head_dim_v); }

namespace {

double bytes_per_query(const Problem &p) {
  double bytes = static_cast<double>(p.head_dim + p.head_dim_v) * p.q.element_bytes;
  if (p.gate.data) bytes += (p.gate.dim ? p.head_dim_v : 1) * p.gate.element_bytes;
  if (p.lse.data) bytes += 4;
  return bytes * p.heads_q;
}

double bytes_per_key(const Problem &p) {
  return static_cast<double>(p.head_dim + p.head_dim_v) * p.k.element_bytes * p.heads_kv;
}

}  // namespace

double bytes_moved(const Problem &p) {
  return sum_over_sequences(p, [&](const Sequence &of) {
    return static_cast<double>(of.queries + of.padding) * bytes_per_query(p) +
           static_cast<double>(of.keys) * bytes_per_key(p);
  });
}

double most_flop(const Problem &p) {
  Sequence longest = {};
  longest.queries = p.seq_q;  // packed: the rows of all sequences together
  longest.keys = p.seq_k;
  const double sequences = p.cu_seqlens_q.data ? (p.batch > 0 ? 1 : 0) : static_cast<double>(p.batch);
  return sequences * visible_pairs(p, longest) * p.heads_q * 2.0 * (p.head_dim + p.head_dim_v);
}

double most_bytes_moved(const Problem &p) {
  const auto rows = [&](const View &packed, int64_t length) {
    return static_cast<double>(length) * (packed.data ? 1 : static_cast<double>(p.batch));
  };
  return rows(p.cu_seqlens_q, p.seq_q) * bytes_per_query(p) + rows(p.cu_seqlens_k, p.seq_k) * bytes_per_key(p);
}

double backward_flop(const BackwardProblem &p, bool recomputes) {
  const double d = p.head_dim, dv = p.head_dim_v;
  double per_pair = recomputes ? d + dv : 0;
  if (p.dq.data || p.dk.data || p.dv.data) per_pair += d;
  if (p.dq.data || p.dk.data) per_pair += dv;
  if (p.dq.data) per_pair += d;
  if (p.dk.data) per_pair += d;
  if (p.dv.data) per_pair += dv;
  return all_pairs(p) * 2.0 * per_pair;
}

double backward_bytes_moved(const BackwardProblem &p) {
  const auto gradient = [](const View &view, int64_t dims) {
    return view.data ? static_cast<double>(dims) * view.element_bytes : 0.0;
  };
  double per_query = static_cast<double>(p.head_dim + 2 * p.head_dim_v) * p.q.element_bytes + 4;  // q, out, dout, lse
  if (p.gate.data) per_query += (p.gate.dim ? p.head_dim_v : 1) * p.gate.element_bytes;
  per_query += gradient(p.dq, p.head_dim) + gradient(p.dgate, p.gate.dim ? p.head_dim_v : 1);
  const double per_key = static_cast<double>(p.head_dim + p.head_dim_v) * p.k.element_bytes + gradient(p.dk, p.head_dim) +
                         gradient(p.dv, p.head_dim_v);
  return sum_over_sequences(p, [&](const Sequence &of) {
    return static_cast<double>(of.queries + of.padding) * p.heads_q * per_query +
           static_cast<double>(of.keys) * p.heads_kv * per_key;
  });
}

}  // namespace ga
