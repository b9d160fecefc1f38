#include "case.h"

#include <sstream>

#include "number.h"

namespace gatest {
namespace {

const char *name_of_activation(ga_activation activation) {
  switch (activation) {
    case GA_SIGMOID: return "sigmoid";
    case GA_SILU: return "silu";
    case GA_IDENTITY: return "identity";
    case GA_NS_SIGMOID: return "ns_sigmoid";
    case GA_TWO_SIGMOID: return "two_sigmoid";
    case GA_SOFTPLUS: return "softplus";
    default: return "tanh";
  }
}

void describe_view(std::ostringstream &text, const char *name, const View &view) {
  if (!view.present()) return;
  text << ' ' << name << '=' << name_of(view.dtype) << "@" << view.block << '+' << view.offset << '(';
  for (size_t axis = 0; axis < 4; ++axis) text << (axis > 0 ? "," : "") << view.stride[axis];
  text << ')';
}

}  // namespace

int64_t span(const View &view) {
  int64_t last = 0;
  for (size_t axis = 0; axis < 4; ++axis) {
    if (view.extent[axis] == 0) return 0;
    last += (view.extent[axis] - 1) * view.stride[axis];
  }
  return last + 1;
}

View own_block(Case &c, ga_dtype dtype, std::array<int64_t, 4> extent) {
  View view;
  view.block = static_cast<int>(c.block_bytes.size());
  view.dtype = dtype;
  view.extent = extent;
  int64_t stride = 1;
  for (size_t axis = 4; axis-- > 0;) {
    view.stride[axis] = stride;
    stride *= extent[axis];
  }
  c.block_bytes.push_back(span(view) * size_of(dtype));
  return view;
}

void lay_out_densely(Case &c, const Optional &optional) {
  c.block_bytes.clear();
  c.q = own_block(c, c.dtype, {c.batch, c.seq_q, c.heads_q, c.head_dim});
  c.k = own_block(c, c.dtype, {c.batch, c.seq_k, c.heads_kv, c.head_dim});
  c.v = own_block(c, c.dtype, {c.batch, c.seq_k, c.heads_kv, c.head_dim_v});
  c.out = own_block(c, c.dtype, {c.batch, c.seq_q, c.heads_q, c.head_dim_v});
  if (optional.gate) c.gate = own_block(c, c.dtype, c.out.extent);
  if (optional.norm_weight) {
    c.norm_weight = own_block(c, c.dtype, {1, 1, c.heads_q, c.head_dim_v});
    c.norm_weight.stride[0] = c.norm_weight.stride[1] = 0;
  }
  if (optional.sink) {
    c.sink = own_block(c, GA_F32, {1, 1, c.heads_q, 1});
    c.sink.stride = {0, 0, 1, 0};
  }
  if (optional.key_lengths) c.key_lengths = own_block(c, GA_I32, {c.batch, 1, 1, 1});
  if (optional.lse) c.lse = own_block(c, GA_F32, {c.batch, c.seq_q, c.heads_q, 1});
}

std::string describe(const Case &c) {
  std::ostringstream text;
  text << "seed " << c.seed << ": B " << c.batch << " Sq " << c.seq_q << " Sk " << c.seq_k << " heads " << c.heads_q
       << '/' << c.heads_kv << " D " << c.head_dim << '/' << c.head_dim_v << ' ' << name_of(c.dtype) << " scale "
       << c.scale;
  if (c.softcap != 0) text << " softcap " << c.softcap;
  if ((c.flags & GA_CAUSAL) != 0) text << " causal";
  if (c.window_left >= 0 || c.window_right >= 0) text << " window " << c.window_left << ',' << c.window_right;
  if (c.pre_gate == GA_PRE_RMS_NORM) text << " rms_norm eps " << c.norm_eps;
  if (c.pre_gate == GA_PRE_SILU) text << " pre silu";
  if (c.gate.present()) text << (c.combination == GA_ADD ? " add " : " multiply ") << name_of_activation(c.activation);
  if ((c.flags & GA_ROUND_BEFORE_GATE) != 0) text << " rounded";
  text << " layout " << c.layout << " trend " << c.trend << '/' << c.trend_dims << " sizes " << c.query_size << ','
       << c.value_size << ',' << c.gate_size << ',' << c.sink_size << (c.poison ? " poison" : "") << " |";
  describe_view(text, "q", c.q);
  describe_view(text, "k", c.k);
  describe_view(text, "v", c.v);
  describe_view(text, "gate", c.gate);
  describe_view(text, "norm_weight", c.norm_weight);
  describe_view(text, "sink", c.sink);
  describe_view(text, "out", c.out);
  describe_view(text, "lse", c.lse);
  describe_view(text, "dout", c.dout);
  describe_view(text, "ungated", c.ungated);
  describe_view(text, "dq", c.dq);
  describe_view(text, "dk", c.dk);
  describe_view(text, "dv", c.dv);
  describe_view(text, "dgate", c.dgate);
  describe_view(text, "dnorm_weight", c.dnorm_weight);
  describe_view(text, "dsink", c.dsink);
  if (!c.lengths.empty()) {
    text << " key_lengths";
    for (const int32_t length : c.lengths) text << ' ' << length;
  }
  return text.str();
}

}  // namespace gatest
