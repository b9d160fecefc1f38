// Bad merges: a clear error that names the argument and the values, and nothing written.

#include <cstring>
#include <limits>

#include "partials.h"
#include "refusal.h"

namespace gatest {
namespace {

using Params = ga_merge_params;

constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

struct BadMerge {
  const char *what;
  std::function<void(Params &)> spoil;
  std::vector<std::string> words;
};

// B 2, Sq 3, heads 4, Dv 24, f32; two partials, 5 elements apart.
class MergeRefusals : public testing::Test {
 protected:
  MergeRefusals() : whole_(good()), partials_(whole_, {0, 2, 5}) {
    EXPECT_EQ(partials_.run(runtime_.handle()), "");
    whole_.take_snapshot();
  }

  static Case good() {
    Case c = good_call();
    c.key_lengths = {};
    c.lengths.clear();
    return c;
  }

  void expect_refused(const BadMerge &bad) {
    SCOPED_TRACE(bad.what);
    Params params = partials_.params;
    bad.spoil(params);
    ga_error error{};
    std::memset(&error, 0x5a, sizeof error);
    EXPECT_EQ(ga_attention_merge(runtime_.handle(), &params, &error), GA_INVALID_ARGUMENT);
    EXPECT_EQ(error.status, GA_INVALID_ARGUMENT);
    ASSERT_LT(strnlen(error.message, sizeof error.message), sizeof error.message) << "the message is not terminated";
    for (const std::string &word : bad.words) {
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    }
    EXPECT_EQ(ga_attention_merge(runtime_.handle(), &params, nullptr), GA_INVALID_ARGUMENT) << "without a ga_error";
    EXPECT_EQ(whole_.untouched(), "");
    EXPECT_EQ(partials_.untouched(), "");
  }

  const Runtime runtime_{2};
  Instance whole_;
  Partials partials_;
};

TEST_F(MergeRefusals, GoodMergeIsAccepted) {
  ga_error error{};
  EXPECT_EQ(ga_attention_merge(runtime_.handle(), &partials_.params, &error), GA_OK) << error.message;
  const void *none = nullptr;
  EXPECT_EQ(
      ga_attention_merge_holding(runtime_.handle(), &partials_.params, &error, none, none, none, none, none, none, none),
      GA_OK);
}

TEST_F(MergeRefusals, OfNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const BadMerge &bad : std::vector<BadMerge>{
           {"struct_size 0", [](Params &p) { p.struct_size = 0; }, {"struct_size", "0", std::to_string(sizeof(Params))}},
           {"struct_size large", [](Params &p) { p.struct_size += 8; }, {"struct_size"}},
           {"batch negative", [](Params &p) { p.batch = -1; }, {"batch", "-1"}},
           {"seq_q huge", [](Params &p) { p.seq_q = kHuge; }, {"seq_q", std::to_string(kHuge)}},
           {"count 0", [](Params &p) { p.count = 0; }, {"count", "0", "1"}},
           {"count negative", [](Params &p) { p.count = -2; }, {"count", "-2"}},
           {"count huge", [](Params &p) { p.count = int64_t{1} << 48; }, {"partial_out"}},
           {"heads_q 0", [](Params &p) { p.heads_q = 0; }, {"heads_q", "0"}},
           {"head_dim_v 20", [](Params &p) { p.head_dim_v = 20; }, {"head_dim_v", "20", "8"}},
           {"norm_eps NaN", [=](Params &p) { p.norm_eps = nan; }, {"norm_eps", "nan"}},
           {"activation 7", [](Params &p) { p.activation = 7; }, {"activation", "7"}},
           {"combination -1", [](Params &p) { p.combination = -1; }, {"combination", "-1"}},
           {"pre_gate 3", [](Params &p) { p.pre_gate = 3; }, {"pre_gate", "3"}},
           {"weight without norm", [](Params &p) { p.pre_gate = GA_PRE_NONE; }, {"norm_weight", "pre_gate"}},
           {"causal", [](Params &p) { p.flags |= GA_CAUSAL; }, {"flags"}},
           {"reserved", [](Params &p) { p.reserved = 4; }, {"reserved", "4"}},
       })
    expect_refused(bad);
}

TEST_F(MergeRefusals, OfPartials) {
  const std::string bytes = std::to_string(partials_.params.partial_out.bytes);
  const std::string short_by_one = std::to_string(partials_.params.partial_out.bytes - 1);
  for (const BadMerge &bad : std::vector<BadMerge>{
           {"no partial_out", [](Params &p) { p.partial_out.data = nullptr; }, {"partial_out", "NULL"}},
           {"no partial_lse", [](Params &p) { p.partial_lse.data = nullptr; }, {"partial_lse", "NULL"}},
           {"partial_out of i32", [](Params &p) { p.partial_out.dtype = GA_I32; }, {"partial_out", "i32"}},
           {"partial_lse of bf16", [](Params &p) { p.partial_lse.dtype = GA_BF16; }, {"partial_lse", "bf16", "f32"}},
           {"one byte short", [](Params &p) { p.partial_out.bytes -= 1; }, {"partial_out", bytes, short_by_one}},
           {"one partial more", [](Params &p) { p.count = 3; }, {"partial_out", bytes}},
           {"stride 0", [](Params &p) { p.partial_out_stride = 0; }, {"partial_out_stride", "0", "2"}},
           {"stride negative", [](Params &p) { p.partial_lse_stride = -29; }, {"partial_lse_stride", "-29"}},
           {"stride huge", [](Params &p) { p.partial_out_stride = kHuge; }, {"partial_out"}},
           {"rows negative", [](Params &p) { p.partial_out.stride[1] = -8; }, {"partial_out", "-8"}},
           {"shared by heads", [](Params &p) { p.partial_lse.stride[2] = 0; }, {"partial_lse", "0"}},
       })
    expect_refused(bad);
}

TEST_F(MergeRefusals, OfOtherTensors) {
  for (const BadMerge &bad : std::vector<BadMerge>{
           {"no out", [](Params &p) { p.out.data = nullptr; }, {"out", "NULL"}},
           {"out of i32", [](Params &p) { p.out.dtype = GA_I32; }, {"out", "i32"}},
           {"lse of f16", [](Params &p) { p.lse.dtype = GA_F16; }, {"lse", "f16"}},
           {"gate of i32", [](Params &p) { p.gate.dtype = GA_I32; }, {"gate", "i32"}},
           {"sink of i32", [](Params &p) { p.sink.dtype = GA_I32; }, {"sink", "i32"}},
           {"out shared", [](Params &p) { p.out.stride[2] = 0; }, {"out", "0"}},
           {"out misaligned", [](Params &p) { p.out.data = static_cast<char *>(p.out.data) + 2; }, {"out", "4"}},
       })
    expect_refused(bad);
}

TEST_F(MergeRefusals, OfOverlaps) {
  for (const BadMerge &bad : std::vector<BadMerge>{
           {"first partial",
            [](Params &p) {
              p.partial_out.data = p.out.data;
              p.count = 1;
            },
            {"out", "partial_out"}},
           {"second partial",
            [this](Params &p) {
              p.out.data = partials_.out(1);
              p.out.bytes = p.partial_out.bytes;
            },
            {"out", "partial_out"}},
           {"gate, moved",
            [](Params &p) {
              p.gate.data = static_cast<char *>(p.out.data) + 4;
              p.gate.bytes -= 4;
              p.seq_q = 2;
            },
            {"out", "gate"}},
           {"lse", [this](Params &p) { p.lse.data = partials_.lse(1); }, {"lse", "partial_lse"}},
           {"sink", [](Params &p) { p.sink.data = p.lse.data; }, {"lse", "sink"}},
       })
    expect_refused(bad);
}

TEST_F(MergeRefusals, OfClosedRuntimesAndNullParams) {
  ga_error error{};
  EXPECT_EQ(ga_attention_merge(0, &partials_.params, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_attention_merge(runtime_.handle(), nullptr, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "params")) << error.message;
  EXPECT_EQ(whole_.untouched(), "");
}

// Between the columns of one buffer there is room for the output.
TEST_F(MergeRefusals, InterleavedOutputsAreWelcome) {
  std::vector<float> buffer(2 * 3 * 4 * 72);
  Params params = partials_.params;
  params.count = 2;
  params.partial_out_stride = 24;
  for (ga_tensor *tensor : {&params.partial_out, &params.out}) {
    tensor->data = buffer.data() + (tensor == &params.out ? 48 : 0);
    tensor->bytes = static_cast<int64_t>(buffer.size() * sizeof(float)) - (tensor == &params.out ? 48 * 4 : 0);
    const int64_t stride[] = {3 * 4 * 72, 4 * 72, 72, 1};
    std::copy(std::begin(stride), std::end(stride), tensor->stride);
  }
  ga_error error{};
  EXPECT_EQ(ga_attention_merge(runtime_.handle(), &params, &error), GA_OK) << error.message;
  params.out.data = buffer.data() + 47;
  EXPECT_EQ(ga_attention_merge(runtime_.handle(), &params, &error), GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "partial_out")) << error.message;
}

TEST_F(MergeRefusals, NothingToMergeIsAccepted) {
  Params params = partials_.params;
  params.batch = 0;
  params.partial_out_stride = params.partial_lse_stride = 0;
  ga_error error{};
  EXPECT_EQ(ga_attention_merge(runtime_.handle(), &params, &error), GA_OK) << error.message;
  EXPECT_EQ(whole_.untouched(), "");
}

}  // namespace
}  // namespace gatest
