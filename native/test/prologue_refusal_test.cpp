// Bad prologues and epilogues: each is refused by name, and nothing is written.

#include <limits>

#include "prologue_calls.h"
#include "refusal.h"

namespace gatest {
namespace {

constexpr float kUntouched = -7;

// q alone in place, k and v to a cache, everything f32: B 1, S 2, heads 2, dim 8.
class PrologueRefusals : public testing::Test {
 protected:
  PrologueRefusals() {
    params_.struct_size = sizeof params_;
    params_.batch = 1;
    params_.seq = 2;
    params_.rotary_dim = 4;
    params_.table_rows = 5;
    params_.cosines = {cosines_, sizeof cosines_, {0, 2, 0, 1}, GA_F32, 0};
    params_.sines = {sines_, sizeof sines_, {0, 2, 0, 1}, GA_F32, 0};
    params_.positions = {positions_, sizeof positions_, {2, 1, 0, 0}, GA_I32, 0};
    params_.slots = {slots_, sizeof slots_, {2, 1, 0, 0}, GA_I32, 0};
    params_.pages = 3;
    params_.page_size = 2;
    for (ga_prologue_part *p : {&params_.q, &params_.k, &params_.v}) {
      float *memory = in_[p - &params_.q];
      p->in = {memory, sizeof in_[0], {32, 16, 8, 1}, GA_F32, 0};
      p->heads = 2;
      p->dim = 8;
      p->flags = GA_PART_NORM | GA_PART_ROTATE;
      p->norm_weight = {weight_, sizeof weight_, {0, 0, 0, 1}, GA_F32, 0};
      p->out = {out_[p - &params_.q], sizeof out_[0], {32, 16, 8, 1}, GA_F32, 0};
    }
    params_.q.gate = {gate_, sizeof gate_, {4, 2, 1, 0}, GA_F32, 0};
    for (auto &out : out_)
      for (float &x : out) x = kUntouched;
    backward_.struct_size = sizeof backward_;
    backward_.forward = &training_;
    for (ga_prologue_gradient *g : {&backward_.q, &backward_.k, &backward_.v}) {
      g->d_out = {d_out_[g - &backward_.q], sizeof d_out_[0], {32, 16, 8, 1}, GA_F32, 0};
      g->d_in = {out_[g - &backward_.q], sizeof out_[0], {32, 16, 8, 1}, GA_F32, 0};
    }
    backward_.q.d_gate = {d_gate_, sizeof d_gate_, {4, 2, 1, 0}, GA_F32, 0};
    backward_.q.d_norm_weight = {d_weight_, sizeof d_weight_, {0, 0, 0, 1}, GA_F32, 0};
    training_ = params_;
    training_.slots = {};
    training_.pages = 0;
    training_.page_size = 0;
  }

  void expect_words(const ga_error &error, const std::vector<std::string> &words) {
    for (const std::string &word : words)
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    for (auto &out : out_)
      for (const float x : out) EXPECT_EQ(x, kUntouched);
  }

  void expect_refused(const std::vector<std::string> &words) {
    ga_error error{};
    EXPECT_EQ(prologue(runtime_.handle(), params_, &error), GA_INVALID_ARGUMENT);
    expect_words(error, words);
  }

  void expect_backward_refused(const std::vector<std::string> &words, ga_status status = GA_INVALID_ARGUMENT) {
    ga_error error{};
    EXPECT_EQ(prologue_backward(runtime_.handle(), backward_, &error), status);
    expect_words(error, words);
  }

  const Runtime runtime_{2};
  float in_[3][32] = {}, out_[3][96], d_out_[3][32] = {}, weight_[8] = {}, gate_[4] = {}, d_gate_[4] = {},
        d_weight_[8] = {};
  float cosines_[10] = {}, sines_[10] = {};
  int32_t positions_[2] = {3, 4}, slots_[2] = {5, -1};
  ga_prologue_params params_{}, training_{};
  ga_prologue_backward_params backward_{};
};

TEST_F(PrologueRefusals, GoodOnesAreAccepted) {
  ga_error error{};
  EXPECT_EQ(prologue_backward(runtime_.handle(), backward_, &error), GA_OK) << error.message;
  EXPECT_EQ(prologue(runtime_.handle(), params_, &error), GA_OK) << error.message;
  EXPECT_EQ(prologue(0, params_, &error), GA_INVALID_HANDLE);
  EXPECT_EQ(prologue_backward(0, backward_, &error), GA_INVALID_HANDLE);
}

#define REFUSE(name, spoil, ...)   \
  TEST_F(PrologueRefusals, name) { \
    spoil;                         \
    expect_refused({__VA_ARGS__}); \
  }

REFUSE(StructSize, params_.struct_size = 8, "struct_size", "8")
REFUSE(BatchNegative, params_.batch = -1, "batch", "-1")
REFUSE(SeqHuge, params_.seq = int64_t{1} << 60, "seq")
REFUSE(Reserved, params_.reserved = 3, "reserved", "3")
REFUSE(Flags, params_.flags = 2, "flags", "0x2")
REFUSE(NoPart, params_.q.in.data = params_.k.in.data = params_.v.in.data = nullptr, "q.in", "k.in", "v.in")
REFUSE(RotaryOdd, params_.rotary_dim = 3, "rotary_dim", "3")
REFUSE(RotaryWide, params_.rotary_dim = 10, "rotary_dim", "10", "q.dim", "8")
REFUSE(RotaryUnused, params_.q.flags = params_.k.flags = params_.v.flags = GA_PART_NORM, "rotary_dim", "4")
REFUSE(NoTable, params_.sines.data = nullptr, "sines", "NULL")
REFUSE(TableShort, params_.table_rows = 6, "cosines", "40", "48")
REFUSE(TableType, params_.cosines.dtype = GA_F16, "cosines", "f16", "f32")
REFUSE(PositionLarge, positions_[1] = 5, "positions", "5")
REFUSE(PositionNegative, positions_[0] = -1, "positions", "-1")
REFUSE(PositionType, params_.positions.dtype = GA_F32, "positions", "f32", "i32")
REFUSE(FirstPosition, params_.positions.data = nullptr; params_.first_position = 4, "first_position", "4", "2", "5")
REFUSE(FirstPositionNegative, params_.first_position = -2, "first_position", "-2")
REFUSE(SlotLarge, slots_[0] = 6, "slots", "6", "5")
REFUSE(SlotNegative, slots_[0] = -2, "slots", "-2")
REFUSE(SlotTwice, slots_[1] = 5, "slots", "5", "twice")
REFUSE(PageSize, params_.page_size = 0, "page_size", "0")
REFUSE(Pages, params_.pages = -1, "pages", "-1")
REFUSE(PagesWithoutSlots, params_.slots.data = nullptr, "page_size", "2", "pages", "3")
REFUSE(SlotsWithoutKeys, params_.k.in.data = params_.v.in.data = nullptr, "slots", "k.in", "v.in")
REFUSE(GroupedCache, params_.k.group = 1; params_.k.in_group_stride = params_.k.out_group_stride = 8, "k.group", "1")
REFUSE(CacheShort, params_.k.out.bytes = 95 * 4, "k.out", "380", "384")
REFUSE(Heads, params_.v.heads = 0, "v.heads", "0")
REFUSE(Dim, params_.k.dim = 12, "k.dim", "12")
REFUSE(Group, params_.q.group = 3, "q.group", "3", "2")
REFUSE(GroupStride, params_.q.group = 1; params_.q.in_group_stride = 0;
       params_.q.out_group_stride = 8, "q.in_group_stride", "0")
REFUSE(StrideWithoutGroup, params_.q.in_group_stride = 8, "q.in_group_stride", "8")
REFUSE(PartFlags, params_.q.flags |= 16, "q.flags", "0x10")
REFUSE(Activation, params_.q.activation = 9, "q.activation", "9")
REFUSE(Eps, params_.k.norm_eps = std::numeric_limits<float>::quiet_NaN(), "k.norm_eps", "nan")
REFUSE(EpsNegative, params_.k.norm_eps = -1, "k.norm_eps", "-1")
REFUSE(WeightWithoutNorm, params_.v.flags = GA_PART_ROTATE, "v.norm_weight", "v.flags")
REFUSE(PlusOneWithoutWeight, params_.q.norm_weight.data = nullptr;
       params_.q.flags |= GA_PART_WEIGHT_PLUS_ONE, "q.flags", "q.norm_weight")
REFUSE(InType, params_.q.in.dtype = GA_I32, "q.in", "i32")
REFUSE(OutType, params_.q.out.dtype = GA_BF16, "q.out", "bf16", "f32")
REFUSE(NoOut, params_.q.out.data = nullptr, "q.out", "NULL")
REFUSE(InShort, params_.q.in.bytes = 124, "q.in", "124", "128")
REFUSE(InShared, params_.q.in.stride[2] = 0, "q.in", "0")
REFUSE(GateType, params_.q.gate.dtype = GA_I32, "q.gate", "i32")
REFUSE(OutOverIn, params_.q.out = params_.q.in; params_.q.out.data = &in_[0][8]; params_.q.out.bytes = 96;
       params_.seq = 1, "q.out", "q.in")
REFUSE(OutOverOther, params_.k.out.data = params_.v.out.data, "k.out", "v.out")
REFUSE(OutOverGate, params_.q.gate.data = out_[0], "q.out", "q.gate")
REFUSE(OutOverWeight, params_.v.norm_weight.data = out_[0], "q.out", "v.norm_weight")
REFUSE(OutOverPositions, params_.positions.data = out_[2], "v.out", "positions")

#define REFUSE_BACKWARD(name, spoil, ...)    \
  TEST_F(PrologueRefusals, Backward##name) { \
    spoil;                                   \
    expect_backward_refused({__VA_ARGS__});  \
  }

REFUSE_BACKWARD(StructSize, backward_.struct_size = 0, "struct_size", "0")
REFUSE_BACKWARD(NoForward, backward_.forward = nullptr, "forward", "NULL")
REFUSE_BACKWARD(BadForward, training_.q.heads = 0, "q.heads", "0")
REFUSE_BACKWARD(NoDOut, backward_.k.d_out.data = nullptr, "k.d_out", "NULL")
REFUSE_BACKWARD(DOutType, backward_.k.d_out.dtype = GA_F16, "k.d_out", "f16")
REFUSE_BACKWARD(DInType, backward_.q.d_in.dtype = GA_BF16, "q.d_in", "bf16")
REFUSE_BACKWARD(DInOverIn, backward_.q.d_in = training_.q.in, "q.in", "q.d_in")
REFUSE_BACKWARD(DGateWithoutGate, backward_.v.d_gate = backward_.q.d_gate, "v.d_gate", "v.gate")
REFUSE_BACKWARD(DGateUnshared, backward_.q.d_gate.stride[3] = 1, "q.d_gate", "1", "0")
REFUSE_BACKWARD(DGateShort, backward_.q.d_gate.bytes = 12, "q.d_gate", "12", "16")
REFUSE_BACKWARD(DWeightUnshared, backward_.q.d_norm_weight.stride[2] = 8, "q.d_norm_weight", "8", "0")
REFUSE_BACKWARD(DWeightShort, backward_.q.d_norm_weight.bytes = 28, "q.d_norm_weight", "28", "32")
REFUSE_BACKWARD(Group, training_.q.group = 1; training_.q.in_group_stride = 8, "q.d_out_group_stride", "0")

TEST_F(PrologueRefusals, BackwardOfACache) {
  backward_.forward = &params_;
  expect_backward_refused({"slots"}, GA_UNSUPPORTED);
}

class EpilogueRefusals : public testing::Test {
 protected:
  EpilogueRefusals() {
    params_.struct_size = sizeof params_;
    params_.batch = 1;
    params_.seq = 2;
    params_.width = 8;
    params_.in = {in_, sizeof in_, {16, 8, 0, 1}, GA_F32, 0};
    params_.gate = {gate_, sizeof gate_, {16, 8, 0, 1}, GA_F32, 0};
    params_.residual = {residual_, sizeof residual_, {16, 8, 0, 1}, GA_F32, 0};
    params_.out = {out_, sizeof out_, {16, 8, 0, 1}, GA_F32, 0};
    for (float &x : out_) x = kUntouched;
    backward_.struct_size = sizeof backward_;
    backward_.forward = &params_;
    backward_.d_out = {d_out_, sizeof d_out_, {16, 8, 0, 1}, GA_F32, 0};
    backward_.d_in = {out_, sizeof out_, {16, 8, 0, 1}, GA_F32, 0};
    backward_.d_gate = {d_gate_, sizeof d_gate_, {16, 8, 0, 1}, GA_F32, 0};
  }

  void expect_refused(const std::vector<std::string> &words, bool backward = false) {
    ga_error error{};
    EXPECT_EQ(
        backward ? epilogue_backward(runtime_.handle(), backward_, &error) : epilogue(runtime_.handle(), params_, &error),
        GA_INVALID_ARGUMENT);
    for (const std::string &word : words)
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    for (const float x : out_) EXPECT_EQ(x, kUntouched);
  }

  const Runtime runtime_{1};
  float in_[16] = {}, gate_[16] = {}, residual_[16] = {}, out_[16], d_out_[16] = {}, d_gate_[16] = {};
  ga_epilogue_params params_{};
  ga_epilogue_backward_params backward_{};
};

TEST_F(EpilogueRefusals, GoodOnesAreAccepted) {
  ga_error error{};
  EXPECT_EQ(epilogue_backward(runtime_.handle(), backward_, &error), GA_OK) << error.message;
  EXPECT_EQ(epilogue(runtime_.handle(), params_, &error), GA_OK) << error.message;
  params_.gate.data = nullptr;
  EXPECT_EQ(epilogue(runtime_.handle(), params_, &error), GA_OK) << error.message;
  EXPECT_EQ(epilogue(0, params_, &error), GA_INVALID_HANDLE);
}

#define REFUSE_EPILOGUE(name, backward, spoil, ...) \
  TEST_F(EpilogueRefusals, name) {                  \
    spoil;                                          \
    expect_refused({__VA_ARGS__}, backward);        \
  }

REFUSE_EPILOGUE(StructSize, false, params_.struct_size = 8, "struct_size", "8")
REFUSE_EPILOGUE(Width, false, params_.width = 12, "width", "12")
REFUSE_EPILOGUE(SeqNegative, false, params_.seq = -1, "seq", "-1")
REFUSE_EPILOGUE(Activation, false, params_.activation = -1, "activation", "-1")
REFUSE_EPILOGUE(NoIn, false, params_.in.data = nullptr, "in", "NULL")
REFUSE_EPILOGUE(NoOut, false, params_.out.data = nullptr, "out", "NULL")
REFUSE_EPILOGUE(OutType, false, params_.out.dtype = GA_F16, "out", "f16", "f32")
REFUSE_EPILOGUE(ResidualShort, false, params_.residual.bytes = 60, "residual", "60", "64")
REFUSE_EPILOGUE(OutOverGate, false, params_.gate.data = out_ - 0; params_.gate.stride[1] = 0, "out", "gate")
REFUSE_EPILOGUE(BackwardStructSize, true, backward_.struct_size = 8, "struct_size", "8")
REFUSE_EPILOGUE(BackwardNoForward, true, backward_.forward = nullptr, "forward", "NULL")
REFUSE_EPILOGUE(BackwardNoDOut, true, backward_.d_out.data = nullptr, "d_out", "NULL")
REFUSE_EPILOGUE(BackwardDGateWithoutGate, true, params_.gate.data = nullptr, "d_gate", "gate")
REFUSE_EPILOGUE(BackwardDGateOverDOut, true, backward_.d_gate.data = d_out_, "d_out", "d_gate")

}  // namespace
}  // namespace gatest
