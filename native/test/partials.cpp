#include "partials.h"

#include <algorithm>

#include "number.h"
#include "random.h"

namespace gatest {
namespace {

constexpr int64_t kGap = 5;                          // elements between two partials
constexpr int64_t kWidestWindow = int64_t{1} << 40;  // as good as unlimited, and sums with it cannot overflow

int64_t rows(const Case &c) { return c.batch * c.seq_q * c.heads_q; }

ga_tensor dense(void *data, ga_dtype dtype, int64_t elements, const Case &c, int64_t dim) {
  ga_tensor tensor{};
  tensor.data = data;
  tensor.bytes = elements * size_of(dtype);
  tensor.dtype = dtype;
  const int64_t stride[] = {c.seq_q * c.heads_q * dim, c.heads_q * dim, dim, 1};
  std::copy(std::begin(stride), std::end(stride), tensor.stride);
  return tensor;
}

int64_t elements(const Case &c, size_t parts, int64_t dim) {
  const auto count = static_cast<int64_t>(parts);
  return count * rows(c) * dim + (count - 1) * kGap;
}

}  // namespace

bool can_split(const Case &c) {
  return c.window_left < 0 && c.lengths.empty() && !c.key_lengths.present() && rows(c) > 0;
}

std::vector<int64_t> random_parts(const Case &c) {
  Random random(c.seed + 3);
  std::vector<int64_t> borders{0, c.seq_k};
  for (int64_t parts = random.between(2, 5); parts > 1; --parts) borders.push_back(random.between(0, c.seq_k));
  std::sort(borders.begin(), borders.end());
  return borders;
}

Partials::Partials(const Instance &whole, std::vector<int64_t> borders)
    : whole_(whole),
      borders_(std::move(borders)),
      out_(elements(whole.description(), count(), whole.description().head_dim_v) * size_of(whole.description().dtype),
           Placement::kRedZones),
      lse_(elements(whole.description(), count(), 1) * 4, Placement::kRedZones) {
  const Case &c = whole.description();
  params.struct_size = sizeof params;
  params.batch = c.batch;
  params.seq_q = c.seq_q;
  params.count = static_cast<int64_t>(count());
  params.partial_out_stride = rows(c) * c.head_dim_v + kGap;
  params.partial_lse_stride = rows(c) + kGap;
  params.heads_q = c.heads_q;
  params.head_dim_v = c.head_dim_v;
  params.norm_eps = c.norm_eps;
  params.activation = c.activation;
  params.combination = c.combination;
  params.pre_gate = c.pre_gate;
  params.flags = c.flags & GA_ROUND_BEFORE_GATE;
  params.partial_out = dense(out(0), c.dtype, elements(c, count(), c.head_dim_v), c, c.head_dim_v);
  params.partial_lse = dense(lse(0), GA_F32, elements(c, count(), 1), c, 1);
  params.gate = whole.params.gate;
  params.norm_weight = whole.params.norm_weight;
  params.sink = whole.params.sink;
  params.out = whole.params.out;
  params.lse = whole.params.lse;
}

std::byte *Partials::out(size_t part) const {
  return out_.data() + static_cast<int64_t>(part) * params.partial_out_stride * size_of(whole_.description().dtype);
}

float *Partials::lse(size_t part) const {
  return reinterpret_cast<float *>(lse_.data()) + static_cast<int64_t>(part) * params.partial_lse_stride;
}

// The last query stands on the last key of a slice; a window to the right puts it back to where it stood.
std::string Partials::run(ga_runtime runtime) {
  const Case &c = whole_.description();
  for (size_t part = 0; part < count(); ++part) {
    const int64_t begin = borders_[part], end = borders_[part + 1];
    ga_attention_params slice = whole_.params;
    slice.seq_k = end - begin;
    for (ga_tensor *keys : {&slice.k, &slice.v}) {
      const int64_t skipped = begin * keys->stride[1] * size_of(c.dtype);
      if (slice.seq_k > 0) keys->data = static_cast<std::byte *>(keys->data) + skipped;
      keys->bytes -= skipped;
    }
    const int64_t right = (c.flags & GA_CAUSAL) != 0 ? 0 : std::min(c.window_right, kWidestWindow);
    slice.window_right = right < 0 ? -1 : right + c.seq_k - end;
    slice.flags = 0;
    slice.pre_gate = GA_PRE_NONE;
    slice.gate = slice.norm_weight = slice.sink = {};
    slice.out = dense(out(part), c.dtype, rows(c) * c.head_dim_v, c, c.head_dim_v);
    slice.lse = dense(lse(part), GA_F32, rows(c), c, 1);
    ga_error error{};
    if (ga_attention_forward(runtime, &slice, &error) != GA_OK) return error.message;
  }
  take_snapshot();
  return "";
}

void Partials::take_snapshot() {
  out_.take_snapshot();
  lse_.take_snapshot();
}

std::string Partials::untouched() const {
  const std::string difference = out_.difference("partial_out");
  return difference.empty() ? lse_.difference("partial_lse") : difference;
}

}  // namespace gatest
