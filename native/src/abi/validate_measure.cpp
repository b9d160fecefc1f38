#include "abi/validate_measure.h"

#include <cinttypes>

#include "abi/overlap.h"
#include "abi/tensor_check.h"
#include "abi/validate.h"

namespace ga {
namespace {

constexpr int kMaxCells = 4096;
constexpr int64_t kTooMany = int64_t{1} << 56;

// An array of results, dense.
struct Results {
  const char *name;
  const void *data;
  int64_t count, needed;  // elements; needed 0: not wanted
  int64_t element_bytes;

  Region region() const {
    Region r;
    r.base = static_cast<const char *>(data);
    for (int64_t &extent : r.extent) extent = 1;
    r.run_bytes = needed * element_bytes;
    if (r.run_bytes == 0) r.extent[0] = 0;
    return r;
  }
};

bool check_results(const Results &r, Refusal &no) {
  if (r.needed == 0) return true;
  if (r.needed < 0 || r.needed > kTooMany) return no.invalid("%s would have over 2^56 elements", r.name);
  if (!r.data) return no.invalid("%s is NULL, but %" PRId64 " elements are needed", r.name, r.needed);
  if (r.count < r.needed)
    return no.invalid("%s_count is %" PRId64 ", but %" PRId64 " elements are needed", r.name, r.count, r.needed);
  const auto address = reinterpret_cast<uintptr_t>(r.data);
  if (address % 8 != 0)
    return no.invalid("%s is at address %#" PRIxPTR ", which is not a multiple of its element size 8", r.name, address);
  return true;
}

bool check_apart(const Results &a, const char *name, const void *data, const Region &b, Refusal &no) {
  if (a.needed == 0 || !data || !overlaps(a.region(), b)) return true;
  return no.invalid("%s (at %p, %" PRId64 " bytes) overlaps %s (at %p, %" PRId64 " bytes)", a.name, a.data,
                    a.region().span(), name, data, b.span());
}

Region bytes_at(const void *data, int64_t bytes) {
  Region r;
  r.base = static_cast<const char *>(data);
  for (int64_t &extent : r.extent) extent = 1;
  r.run_bytes = bytes;
  return r;
}

// The product, or above kTooMany where it is larger.
int64_t product(int64_t a, int64_t b, int64_t c, int64_t d = 1) {
  const double size = static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c) * static_cast<double>(d);
  return size > static_cast<double>(kTooMany) ? kTooMany + 1 : a * b * c * d;
}

bool check_operand(const char *name, const View &view, int64_t elements, Refusal &no) {
  if (view.data || elements == 0) return true;
  return no.invalid("%s is NULL, but the measurement reads it", name);
}

bool check_ranges(const ga_measure_params &c, Measure &m, Refusal &no) {
  if (!check_range("range_count", c.range_count, 0, kMaxRanges, no)) return false;
  if (c.range_count > 0 && !c.ranges) return no.invalid("ranges is NULL, but range_count is %d", c.range_count);
  m.ranges = c.range_count;
  for (int32_t n = 0; n < c.range_count; n++) {
    const int64_t first = m.range[n][0] = c.ranges[2 * n], end = m.range[n][1] = c.ranges[2 * n + 1];
    if (first < 0 || end < first)
      return no.invalid("ranges[%d] is %" PRId64 " to %" PRId64
                        "; it must begin at 0 or later and not end before it begins",
                        n, first, end);
  }
  return true;
}

}  // namespace

bool check_measure(const ga_measure_params *params, Measure &m, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_measure_params", params->struct_size, sizeof *params, no)) return false;
  const ga_measure_params c = *params;
  if (!c.attention) return no.invalid("attention is NULL; it must be the call that was made");
  if (!check_problem(c.attention, Purpose::kPlan, m.p, no)) return false;
  const Problem &p = m.p;
  const int64_t rows = p.batch > 0 ? p.seq_q : 0;
  if (!check_operand("q", p.q, rows, no) || !check_operand("k", p.k, rows > 0 ? p.seq_k : 0, no) ||
      !check_operand("lse", p.lse, rows, no))
    return false;
  if (p.k.dtype == GA_I8 && !check_operand("k_scale", p.k_scale, p.seq_k, no)) return false;
  if (!check_ranges(c, m, no) || !check_range("map_cells", c.map_cells, 0, kMaxCells, no)) return false;
  m.map_rows = p.seq_q < c.map_cells ? p.seq_q : c.map_cells;
  m.map_columns = p.seq_k < c.map_cells ? p.seq_k : c.map_cells;
  if (m.map_columns == 0) m.map_rows = 0;  // nothing to fill

  const int64_t heads = p.heads_q;
  const Results results[] = {
      {"share", c.share, c.share_count, product(p.batch, heads, m.ranges), 8},
      {"entropy", c.entropy, c.entropy_count, c.entropy ? product(p.batch, heads, 1) : 0, 8},
      {"map", c.map, c.map_count, product(p.batch, heads, m.map_rows, m.map_columns), 8},
      {"rows", c.rows, c.rows_count, c.rows ? p.batch : 0, 8},
  };
  const ga_attention_params &a = *c.attention;
  for (const Results &r : results) {
    if (!check_results(r, no)) return false;
    if (!check_apart(r, "q", a.q.data, bytes_at(p.q.data, a.q.bytes), no) ||
        !check_apart(r, "k", a.k.data, bytes_at(p.k.data, a.k.bytes), no) ||
        !check_apart(r, "lse", a.lse.data, bytes_at(p.lse.data, a.lse.bytes), no))
      return false;
    for (const Results &other : results)
      if (&other != &r && other.needed > 0 && !check_apart(r, other.name, other.data, other.region(), no)) return false;
  }
  m.share = c.share;
  m.entropy = c.entropy;
  m.map = c.map;
  m.rows = c.rows;
  return true;
}

bool check_values(const ga_values_params *params, Values &v, Refusal &no) {
  if (!params) return no.invalid("params is NULL");
  if (!check_struct_size("ga_values_params", params->struct_size, sizeof *params, no)) return false;
  const ga_values_params c = *params;
  if (!check_range("batch", c.batch, 0, kMaxExtent, no) || !check_range("seq", c.seq, 0, kMaxExtent, no) ||
      !check_range("heads", c.heads, 1, 1 << 20, no) || !check_range("dim", c.dim, 1, 1 << 20, no) ||
      !check_range("activation", c.activation, GA_SIGMOID, GA_TANH, no) || !check_range("bins", c.bins, 0, kMaxCells, no))
    return false;
  if (product(c.batch, c.seq, c.heads, c.dim) > kTooMany)
    return no.invalid("values has more than 2^56 elements: batch is %" PRId64 ", seq is %" PRId64, c.batch, c.seq);
  if (c.bins > 0 && !(c.low < c.high && c.high - c.low <= 1e300))
    return no.invalid("low is %g and high is %g; both must be finite, low below high", c.low, c.high);
  if (c.below != c.below || c.above != c.above || c.small != c.small || c.smaller != c.smaller)
    return no.invalid("below is %g, above is %g, small is %g, smaller is %g; none may be NaN", c.below, c.above, c.small,
                      c.smaller);
  const Expected values = {"values", c.values, {c.batch, c.seq, c.heads, c.dim}, kFloats, kFloatsRule, true, false, true};
  if (!check_tensor(values, Purpose::kCall, v.values, no)) return false;
  const Results results[] = {
      {"statistics", c.statistics, c.statistics_count, c.heads, static_cast<int64_t>(sizeof(ga_value_statistics))},
      {"histogram", c.histogram, c.histogram_count, product(c.heads, c.bins, 1), 8},
  };
  for (const Results &r : results)
    if (!check_results(r, no) || !check_apart(r, "values", c.values.data, bytes_at(c.values.data, c.values.bytes), no))
      return false;
  if (c.bins > 0 && !check_apart(results[0], "histogram", c.histogram, results[1].region(), no)) return false;

  v.batch = c.batch;
  v.seq = c.seq;
  v.heads = c.heads;
  v.dim = c.dim;
  v.activation = c.activation;
  v.bins = c.bins;
  v.low = c.low;
  v.high = c.high;
  v.below = c.below;
  v.above = c.above;
  v.small = c.small;
  v.smaller = c.smaller;
  v.statistics = c.statistics;
  v.histogram = c.histogram;
  v.tokens_per_task = v.dim < kValuesPerTask ? kValuesPerTask / v.dim : 1;
  v.tasks_per_head = ceil_div(v.batch * v.seq, v.tokens_per_task);
  return true;
}

}  // namespace ga
