// The bound of an element, against float64 on the same (rounded) inputs: each step is f32, with a few roundings, and the store
// rounds once. A 16-bit gate's sigmoid has 7e-5 (math.h). Gradients that are sums err by their terms' magnitudes.
#include "prologue_case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "number.h"
#include "reference.h"

namespace gatest {
namespace {

constexpr double kEps32 = 0x1p-23;

double roundoff(ga_dtype dtype) { return dtype == GA_BF16 ? 0x1p-8 : dtype == GA_F16 ? 0x1p-11 : 0x1p-23; }
double subnormal(ga_dtype dtype) { return dtype == GA_F16 ? 0x1p-24 : 1e-38; }

double slope(ga_activation activation, double g) {
  const double s = 1 / (1 + std::exp(-g)), rest = 1 / (1 + std::exp(g));
  switch (activation) {
    case GA_SILU: return s * (1 + g * rest);
    case GA_IDENTITY: return 1;
    case GA_NS_SIGMOID: return 0.5 * s * rest;
    case GA_TWO_SIGMOID: return 2 * s * rest;
    case GA_SOFTPLUS: return s;
    case GA_TANH: return 1 - std::tanh(g) * std::tanh(g);
    default: return s * rest;
  }
}

// Memory for a tensor whose strides nest in the order that `order` lists the axes, innermost last; shared axes have stride 0.
void place(Placed &p, Random &random, ga_dtype dtype, const int64_t (&extent)[4], const bool (&shared)[4], bool fill,
           double size) {
  std::copy(std::begin(extent), std::end(extent), p.extent);
  int64_t stride = 1;
  const bool heads_outside = random.chance(0.3);
  const int order[] = {3, heads_outside ? 1 : 2, heads_outside ? 2 : 1, 0};
  for (const int axis : order) {
    p.tensor.stride[axis] = shared[axis] && extent[axis] > 1 ? 0 : stride;
    if (!shared[axis]) stride = stride * std::max<int64_t>(1, extent[axis]) + (axis != 3 && random.chance(0.3) ? 8 : 0);
    if (axis == 3 && !shared[3]) stride = std::max<int64_t>(stride, extent[3]) + (random.chance(0.3) ? 16 : 0);
  }
  int64_t span = 1;
  for (int a = 0; a < 4; ++a) span += std::max<int64_t>(0, extent[a] - 1) * p.tensor.stride[a];
  const bool empty = std::any_of(std::begin(extent), std::end(extent), [](int64_t e) { return e == 0; });
  p.block = std::make_unique<Block>((empty ? 1 : span) * size_of(dtype), Placement::kRedZones);
  p.tensor.data = p.block->data();
  p.tensor.bytes = p.block->bytes();
  p.tensor.dtype = dtype;
  if (!fill || empty) return;
  for (int64_t n = 0; n < span; ++n) store(dtype, p.block->data() + n * size_of(dtype), size * random.normal());
}

// Every head in groups: [groups][what, rest] per token, as a grouped projection has it.
void place_grouped(Placed &p, Random &random, ga_dtype dtype, int64_t batch, int64_t seq, int64_t heads, int64_t dim,
                   int64_t group, bool fill) {
  const int64_t extent[4] = {batch, seq, heads, dim};
  std::copy(std::begin(extent), std::end(extent), p.extent);
  p.group = group;
  p.group_stride = group * dim + random.between(0, 1) * group * dim + random.between(0, 1) * 8;
  const int64_t row = heads / group * p.group_stride;
  p.tensor.stride[0] = seq * row;
  p.tensor.stride[1] = row;
  p.tensor.stride[2] = dim;
  p.tensor.stride[3] = 1;
  p.block = std::make_unique<Block>(std::max<int64_t>(1, batch * seq * row) * size_of(dtype), Placement::kRedZones);
  p.tensor.data = p.block->data();
  p.tensor.bytes = p.block->bytes();
  p.tensor.dtype = dtype;
  if (!fill) return;
  for (int64_t n = 0; n < batch * seq * row; ++n) store(dtype, p.block->data() + n * size_of(dtype), random.normal());
}

// One row of float64: values, and how far each may be off.
struct Row {
  std::vector<double> x, error;
};

}  // namespace

std::byte *Placed::at(int64_t b, int64_t s, int64_t h, int64_t d) const {
  const int64_t head = group > 0 ? h / group * group_stride + h % group * tensor.stride[2] : h * tensor.stride[2];
  const int64_t offset = b * tensor.stride[0] + s * tensor.stride[1] + head + d * tensor.stride[3];
  return static_cast<std::byte *>(tensor.data) + offset * size_of(tensor.dtype);
}

double Placed::get(int64_t b, int64_t s, int64_t h, int64_t d) const { return load(tensor.dtype, at(b, s, h, d)); }

int64_t PrologueCase::position(int64_t b, int64_t s) const {
  return params.positions.data ? positions[static_cast<size_t>(b * params.positions.stride[0] + s)]
                               : params.first_position + s;
}

PrologueCase::PrologueCase(uint64_t seed, bool cached) {
  Random random(seed);
  params.struct_size = sizeof params;
  backward.struct_size = sizeof backward;
  backward.forward = &params;
  params.batch = random.between(1, 3);
  params.seq = random.chance(0.3) ? random.between(0, 3) : random.between(1, 90);
  params.flags = random.chance(0.4) ? GA_INTERLEAVED : 0;
  params.rotary_dim = 2 * random.pick<int32_t>({1, 4, 4, 8, 12, 20});
  params.table_rows = params.seq + 40;
  params.first_position = random.between(0, 40);
  const auto half = static_cast<size_t>(params.rotary_dim / 2);
  for (int64_t row = 0; row < params.table_rows; ++row)
    for (size_t d = 0; d < half; ++d) {
      const double angle = static_cast<double>(row) * std::pow(1e4, -static_cast<double>(d) / static_cast<double>(half));
      cosines_.push_back(static_cast<float>(1.1 * std::cos(angle)));
      sines_.push_back(static_cast<float>(1.1 * std::sin(angle)));
    }
  for (ga_tensor *table : {&params.cosines, &params.sines}) {
    std::vector<float> &values = table == &params.cosines ? cosines_ : sines_;
    *table = {values.data(),
              static_cast<int64_t>(values.size() * sizeof(float)),
              {1, static_cast<int64_t>(half), 1, 1},
              GA_F32,
              0};
  }
  const int64_t tokens = params.batch * params.seq;
  if (random.chance(0.5) && tokens > 0) {
    const bool shared = random.chance(0.3);
    for (int64_t n = 0; n < (shared ? params.seq : tokens); ++n)
      positions.push_back(static_cast<int32_t>(random.below(params.table_rows)));
    params.positions = {
        positions.data(), static_cast<int64_t>(positions.size() * 4), {shared ? 0 : params.seq, 1, 1, 1}, GA_I32, 0};
  }
  if (cached) {
    params.page_size = static_cast<int32_t>(random.between(1, 20));
    params.pages = tokens / params.page_size + 3;
    std::vector<int32_t> rows(static_cast<size_t>(params.pages * params.page_size));
    std::iota(rows.begin(), rows.end(), 0);
    for (size_t n = rows.size(); n > 1; --n)
      std::swap(rows[n - 1], rows[static_cast<size_t>(random.below(static_cast<int64_t>(n)))]);
    for (int64_t n = 0; n < tokens; ++n) slots.push_back(random.chance(0.1) ? -1 : rows[static_cast<size_t>(n)]);
    slots.push_back(0);  // never empty
    params.slots = {slots.data(), static_cast<int64_t>(slots.size() * 4), {params.seq, 1, 1, 1}, GA_I32, 0};
  }
  bool rotates = false;
  for (int n = 0; n < 3; ++n) {
    make_part(random, n, cached && n > 0);
    rotates = rotates || (params_of(n).flags & GA_PART_ROTATE) != 0;
  }
  if (!rotates) params.rotary_dim = 0;
  take_snapshots();
}

void PrologueCase::make_part(Random &random, int n, bool cached) {
  PartCase &c = part[n];
  ga_prologue_part &p = params_of(n);
  ga_prologue_gradient &g = gradient_of(n);
  const auto dtype = random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16});
  p.dim = random.pick<int32_t>({8, 16, 24, 40, 64, 128, 72});
  while (p.dim < params.rotary_dim) p.dim += 8;
  const int64_t group = random.between(1, 3);
  p.heads = static_cast<int32_t>(group * random.between(1, 3));
  const bool grouped = !cached && random.chance(0.4);
  p.group = grouped ? static_cast<int32_t>(group) : 0;
  p.activation = static_cast<ga_activation>(random.below(7));
  p.norm_eps = random.chance(0.8) ? 1e-6F : 0.01F;
  const int64_t extent[4] = {params.batch, params.seq, p.heads, p.dim};
  const bool nothing[4] = {false, false, false, false};
  const auto one = [&](Placed &to, bool fill, ga_dtype type) {
    if (grouped)
      place_grouped(to, random, type, params.batch, params.seq, p.heads, p.dim, group, fill);
    else
      place(to, random, type, extent, nothing, fill, 1);
  };
  one(c.in, true, dtype);
  one(c.d_out, true, dtype);
  one(c.d_in, false, random.chance(0.5) ? GA_F32 : dtype);
  if (random.chance(0.6)) {
    bool shared[4];
    for (bool &s : shared) s = random.chance(0.3);
    place(c.gate, random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}), extent, shared, true, 2);
    int64_t own[4];
    for (int a = 0; a < 4; ++a) own[a] = shared[a] && extent[a] > 1 ? 1 : extent[a];
    place(c.d_gate, random, random.pick<ga_dtype>({GA_F32, GA_BF16, GA_F16}), own, nothing, false, 1);
    for (int a = 0; a < 4; ++a)
      if (own[a] != extent[a]) c.d_gate.tensor.stride[a] = 0;
  }
  if (random.chance(0.6)) {
    p.flags |= GA_PART_NORM;
    if (random.chance(0.8)) {
      const bool shared[4] = {true, true, random.chance(0.7), false};
      const int64_t rows[4] = {1, 1, p.heads, p.dim};
      place(c.norm_weight, random, random.pick<ga_dtype>({GA_F32, GA_BF16}), rows, shared, true, 1);
      if (random.chance(0.5)) p.flags |= GA_PART_WEIGHT_PLUS_ONE;
      const int64_t own[4] = {1, 1, shared[2] && p.heads > 1 ? 1 : p.heads, p.dim};
      place(c.d_norm_weight, random, GA_F32, own, nothing, false, 1);
      if (own[2] != p.heads) c.d_norm_weight.tensor.stride[2] = 0;
    }
  }
  if (random.chance(0.6)) p.flags |= GA_PART_ROTATE;
  if (cached) {
    const int64_t rows[4] = {params.pages, params.page_size, p.heads, p.dim};
    place(c.out, random, dtype, rows, nothing, false, 1);
  } else {
    one(c.out, false, dtype);
  }
  p.in = c.in.tensor;
  p.gate = c.gate.tensor;
  p.norm_weight = c.norm_weight.tensor;
  p.out = c.out.tensor;
  p.in_group_stride = c.in.group_stride;
  p.out_group_stride = c.out.group_stride;
  g.d_out = c.d_out.tensor;
  g.d_in = c.d_in.tensor;
  g.d_gate = c.d_gate.tensor;
  g.d_norm_weight = c.d_norm_weight.tensor;
  g.d_out_group_stride = c.d_out.group_stride;
  g.d_in_group_stride = c.d_in.group_stride;
}

void PrologueCase::take_snapshots() {
  for (PartCase &c : part)
    for (Placed *p : {&c.in, &c.gate, &c.norm_weight, &c.out, &c.d_out, &c.d_in, &c.d_gate, &c.d_norm_weight})
      if (p->block) p->block->take_snapshot();
}

std::string PrologueCase::describe() const {
  std::string text = "B " + std::to_string(params.batch) + " S " + std::to_string(params.seq) + " rotary " +
                     std::to_string(params.rotary_dim) + (params.flags ? " interleaved" : "");
  for (int n = 0; n < 3; ++n) {
    const ga_prologue_part &p = params_of(n);
    text += std::string(" | ") + "qkv"[n] + " " + name_of(p.in.dtype) + " heads " + std::to_string(p.heads) + " dim " +
            std::to_string(p.dim) + " group " + std::to_string(p.group) + " flags " + std::to_string(p.flags) +
            (p.gate.data ? " gate " + std::to_string(p.activation) : "") + (p.norm_weight.data ? " weight" : "");
  }
  return text;
}

namespace {

struct Angles {
  std::vector<double> cosine, sine;
};

// The pair of elements that angle d turns.
void pair_of(const ga_prologue_params &p, size_t d, size_t &a, size_t &b) {
  const bool interleaved = (p.flags & GA_INTERLEAVED) != 0;
  a = interleaved ? 2 * d : d;
  b = interleaved ? 2 * d + 1 : d + static_cast<size_t>(p.rotary_dim / 2);
}

void turn(const ga_prologue_params &p, const Angles &angles, double sign, Row &row) {
  for (size_t d = 0; d < angles.cosine.size(); ++d) {
    size_t i = 0, j = 0;
    pair_of(p, d, i, j);
    const double x = row.x[i], y = row.x[j], c = angles.cosine[d], s = angles.sine[d] * sign;
    const double error = std::fabs(c) * row.error[i] + std::fabs(s) * row.error[j];
    const double other = std::fabs(c) * row.error[j] + std::fabs(s) * row.error[i];
    const double size = 2 * kEps32 * (std::fabs(x) + std::fabs(y));
    row.x[i] = x * c - y * s;
    row.x[j] = y * c + x * s;
    row.error[i] = error + size;
    row.error[j] = other + size;
  }
}

}  // namespace

// One pass of float64 over everything, forward or backward.
namespace {

struct Gated {
  Row row;
  double mean_square = 0;
};

Gated gated(const ga_prologue_part &p, const PartCase &c, double extra, int64_t b, int64_t s, int64_t h) {
  Gated g;
  for (int64_t d = 0; d < p.dim; ++d) {
    const double x = c.in.get(b, s, h, d), a = c.gate.present() ? activate(p.activation, c.gate.get(b, s, h, d)) : 1;
    g.row.x.push_back(x * a);
    g.row.error.push_back((c.gate.present() ? 4 * kEps32 + extra : 0) * std::fabs(x * a) + 1e-37);
    g.mean_square += x * a * x * a / p.dim;
  }
  return g;
}

double weight_of(const ga_prologue_part &p, const PartCase &c, int64_t h, int64_t d) {
  if (!c.norm_weight.present()) return 1;
  return c.norm_weight.get(0, 0, h, d) + ((p.flags & GA_PART_WEIGHT_PLUS_ONE) != 0 ? 1 : 0);
}

std::string compare(const char *what, int n, double actual, double expected, double bound) {
  if (std::fabs(actual - expected) <= bound) return "";
  return std::string(what) + " of part " + std::to_string(n) + " is " + std::to_string(actual) + ", expected " +
         std::to_string(expected) + " within " + std::to_string(bound);
}

}  // namespace

std::string PrologueCase::check_forward() const {
  for (int n = 0; n < 3; ++n) {
    const ga_prologue_part &p = params_of(n);
    const PartCase &c = part[n];
    std::vector<std::byte> allowed = c.out.block->snapshot();
    for (int64_t b = 0; b < params.batch; ++b)
      for (int64_t s = 0; s < params.seq; ++s) {
        const bool cached = params.slots.data && n > 0;
        const int32_t slot = cached ? slots[static_cast<size_t>(b * params.seq + s)] : 0;
        if (slot < 0) continue;
        Angles angles;
        for (int32_t d = 0; d < params.rotary_dim / 2; ++d) {
          const auto at = static_cast<size_t>(position(b, s) * (params.rotary_dim / 2) + d);
          angles.cosine.push_back(static_cast<double>(cosines_[at]));
          angles.sine.push_back(static_cast<double>(sines_[at]));
        }
        for (int64_t h = 0; h < p.heads; ++h) {
          const double extra = p.in.dtype == GA_F32 ? 0 : 2e-4;
          Gated g = gated(p, c, extra, b, s, h);
          if ((p.flags & GA_PART_NORM) != 0) {
            const double root = std::sqrt(g.mean_square + static_cast<double>(p.norm_eps));
            const double relative = extra + 12 * kEps32;
            for (int64_t d = 0; d < p.dim; ++d) {
              const auto i = static_cast<size_t>(d);
              const double w = root == 0 ? 0 : weight_of(p, c, h, d) / root;
              g.row.x[i] *= w;
              g.row.error[i] = g.row.error[i] * std::fabs(w) + relative * std::fabs(g.row.x[i]);
            }
          }
          if ((p.flags & GA_PART_ROTATE) != 0) turn(params, angles, 1, g.row);
          for (int64_t d = 0; d < p.dim; ++d) {
            const auto i = static_cast<size_t>(d);
            const std::byte *at =
                cached ? c.out.at(slot / params.page_size, slot % params.page_size, h, d) : c.out.at(b, s, h, d);
            const double bound =
                g.row.error[i] + roundoff(p.in.dtype) * (std::fabs(g.row.x[i]) + g.row.error[i]) + subnormal(p.in.dtype);
            const std::string wrong = compare("out", n, load(p.in.dtype, at), g.row.x[i], bound);
            if (!wrong.empty())
              return wrong + " at " + std::to_string(b) + " " + std::to_string(s) + " " + std::to_string(h) + " " +
                     std::to_string(d);
            std::memcpy(allowed.data() + (at - c.out.block->data()), at, static_cast<size_t>(size_of(p.in.dtype)));
          }
        }
      }
    if (std::memcmp(allowed.data(), c.out.block->data(), allowed.size()) != 0)
      return "out of part " + std::to_string(n) + " was written outside of its rows";
    for (const Placed *input : {&c.in, &c.gate, &c.norm_weight, &c.d_out, &c.d_in, &c.d_gate, &c.d_norm_weight})
      if (input->block && !input->block->difference("a tensor").empty()) return "a tensor that is no output was written";
  }
  return "";
}

std::string PrologueCase::check_backward() const {
  for (int n = 0; n < 3; ++n) {
    const ga_prologue_part &p = params_of(n);
    const PartCase &c = part[n];
    const auto count = [](const Placed &t) {
      return t.block ? static_cast<size_t>(t.block->bytes() / size_of(t.tensor.dtype)) : 0;
    };
    std::vector<double> gate(count(c.d_gate), 0), gate_error(gate), weight(count(c.d_norm_weight), 0),
        weight_error(weight);
    const auto index = [](const Placed &t, const std::byte *at) {
      return static_cast<size_t>((at - t.block->data()) / size_of(t.tensor.dtype));
    };
    for (int64_t b = 0; b < params.batch; ++b)
      for (int64_t s = 0; s < params.seq; ++s) {
        Angles angles;
        for (int32_t d = 0; d < params.rotary_dim / 2; ++d) {
          const auto at = static_cast<size_t>(position(b, s) * (params.rotary_dim / 2) + d);
          angles.cosine.push_back(static_cast<double>(cosines_[at]));
          angles.sine.push_back(static_cast<double>(sines_[at]));
        }
        for (int64_t h = 0; h < p.heads; ++h) {
          Row dy;
          for (int64_t d = 0; d < p.dim; ++d) {
            dy.x.push_back(c.d_out.get(b, s, h, d));
            dy.error.push_back(0);
          }
          if ((p.flags & GA_PART_ROTATE) != 0) turn(params, angles, -1, dy);
          const double extra = p.in.dtype == GA_F32 ? 0 : 2e-4;
          const Gated g = gated(p, c, extra, b, s, h);
          if ((p.flags & GA_PART_NORM) != 0) {
            const double root = std::sqrt(g.mean_square + static_cast<double>(p.norm_eps)),
                         relative = 2 * extra + 24 * kEps32;
            double mean = 0, size = 0;
            for (int64_t d = 0; d < p.dim; ++d) {
              const auto i = static_cast<size_t>(d);
              const double normalized = root == 0 ? 0 : g.row.x[i] / root, w = weight_of(p, c, h, d);
              if (c.d_norm_weight.present()) {
                const size_t at = index(c.d_norm_weight, c.d_norm_weight.at(0, 0, h, d));
                weight[at] += dy.x[i] * normalized;
                weight_error[at] +=
                    (relative + 20 * kEps32) * std::fabs(dy.x[i] * normalized) + dy.error[i] * std::fabs(normalized);
              }
              dy.x[i] *= w;
              dy.error[i] = dy.error[i] * std::fabs(w) + relative * std::fabs(dy.x[i]);
              mean += dy.x[i] * normalized / p.dim;
              size += (std::fabs(dy.x[i]) + dy.error[i]) * std::fabs(normalized) / p.dim;
            }
            for (int64_t d = 0; d < p.dim; ++d) {
              const auto i = static_cast<size_t>(d);
              const double normalized = root == 0 ? 0 : g.row.x[i] / root, r = root == 0 ? 0 : 1 / root;
              const double parts = std::fabs(dy.x[i]) + std::fabs(normalized) * size;
              dy.x[i] = r * (dy.x[i] - normalized * mean);
              dy.error[i] = r * (dy.error[i] + 2 * relative * parts);
            }
          }
          double row_gate = 0;
          for (int64_t d = 0; d < p.dim; ++d) {
            const auto i = static_cast<size_t>(d);
            double dx = dy.x[i], error = dy.error[i];
            if (c.gate.present()) {
              const double score = c.gate.get(b, s, h, d), a = activate(p.activation, score), x = c.in.get(b, s, h, d);
              const double dg = dx * x * slope(p.activation, score);
              const size_t at = index(c.d_gate, c.d_gate.at(b, s, h, d));
              gate[at] += dg;
              // Where SiLU's slope vanishes nothing relative holds its error.
              const double slope_error =
                  16 * kEps32 * (std::fabs(slope(p.activation, score)) + (p.activation == GA_SILU ? 1 : 0));
              gate_error[at] += std::fabs(dx * x) * slope_error + error * std::fabs(x * slope(p.activation, score)) +
                                20 * kEps32 * std::fabs(dg) + 1e-37;
              row_gate += dg;
              dx *= a;
              error = error * std::fabs(a) + 6 * kEps32 * std::fabs(dx);
            }
            const ga_dtype type = c.d_in.tensor.dtype;
            const std::string wrong = compare("d_in", n, c.d_in.get(b, s, h, d), dx,
                                              error + roundoff(type) * (std::fabs(dx) + error) + subnormal(type) + 1e-37);
            if (!wrong.empty()) return wrong;
          }
        }
      }
    for (const Placed *t : {&c.d_gate, &c.d_norm_weight}) {
      if (!t->block) continue;
      const std::vector<double> &value = t == &c.d_gate ? gate : weight,
                                &error = t == &c.d_gate ? gate_error : weight_error;
      const ga_dtype type = t->tensor.dtype;
      if (params.batch * params.seq == 0 && t == &c.d_gate && t->extent[0] * t->extent[1] == 0) continue;
      for (int64_t b = 0; b < t->extent[0]; ++b)
        for (int64_t s = 0; s < t->extent[1]; ++s)
          for (int64_t h = 0; h < t->extent[2]; ++h)
            for (int64_t d = 0; d < t->extent[3]; ++d) {
              const size_t at = index(*t, t->at(b, s, h, d));
              const std::string wrong =
                  compare(t == &c.d_gate ? "d_gate" : "d_norm_weight", n, t->get(b, s, h, d), value[at],
                          error[at] + roundoff(type) * (std::fabs(value[at]) + error[at]) + subnormal(type));
              if (!wrong.empty()) return wrong;
            }
    }
    for (const Placed *input : {&c.in, &c.gate, &c.norm_weight, &c.out, &c.d_out})
      if (input->block && !input->block->difference("a tensor").empty())
        return "a tensor that is no gradient was written";
  }
  return "";
}

namespace {

void append(std::vector<std::byte> &to, const Placed &p) {
  if (p.block) to.insert(to.end(), p.block->data(), p.block->data() + p.block->bytes());
}

}  // namespace

std::vector<std::byte> PrologueCase::output_bytes() const {
  std::vector<std::byte> bytes;
  for (const PartCase &c : part) append(bytes, c.out);
  return bytes;
}

std::vector<std::byte> PrologueCase::gradient_bytes() const {
  std::vector<std::byte> bytes;
  for (const PartCase &c : part)
    for (const Placed *p : {&c.d_in, &c.d_gate, &c.d_norm_weight}) append(bytes, *p);
  return bytes;
}

}  // namespace gatest
