// Bad measurements: each is refused by name, and nothing is written.

#include <cstring>
#include <limits>

#include "refusal.h"

namespace gatest {
namespace {

constexpr double kUntouched = -7;

class MeasureRefusals : public testing::Test {
 protected:
  MeasureRefusals() : instance_(good_call()), attention_(instance_.params) {
    instance_.take_snapshot();
    params_.struct_size = sizeof params_;
    params_.attention = &attention_;
    params_.ranges = ranges_;
    params_.range_count = 2;
    params_.map_cells = 2;
    params_.share = share_;
    params_.share_count = 16;
    params_.entropy = entropy_;
    params_.entropy_count = 8;
    params_.map = map_;
    params_.map_count = 32;
    params_.rows = rows_;
    params_.rows_count = 2;
  }

  ga_status measure(ga_error *error) {
    return ga_attention_measure(runtime_.handle(), &params_, error, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                nullptr, nullptr, nullptr, nullptr);
  }

  void expect_refused(const std::vector<std::string> &words) {
    ga_error error{};
    EXPECT_EQ(measure(&error), GA_INVALID_ARGUMENT);
    for (const std::string &word : words)
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    for (const double x : share_) EXPECT_EQ(x, kUntouched);
    for (const double x : map_) EXPECT_EQ(x, kUntouched);
    EXPECT_EQ(instance_.untouched(), "");
  }

  const Runtime runtime_{2};
  Instance instance_;
  ga_attention_params attention_;
  int64_t ranges_[4] = {0, 1, 2, 5};
  double share_[16], entropy_[8], map_[32];
  int64_t rows_[2] = {};
  ga_measure_params params_{};

  void SetUp() override {
    for (double &x : share_) x = kUntouched;
    for (double &x : map_) x = kUntouched;
  }
};

TEST_F(MeasureRefusals, GoodOneIsAccepted) {
  ga_error error{};
  EXPECT_EQ(measure(&error), GA_OK) << error.message;
  attention_.v.data = attention_.out.data = attention_.gate.data = nullptr;
  EXPECT_EQ(measure(&error), GA_OK) << error.message;
}

#define REFUSE(name, spoil, ...)   \
  TEST_F(MeasureRefusals, name) {  \
    spoil;                         \
    expect_refused({__VA_ARGS__}); \
  }

REFUSE(StructSize, params_.struct_size -= 8, "struct_size")
REFUSE(NoAttention, params_.attention = nullptr, "attention", "NULL")
REFUSE(BadAttention, attention_.heads_q = 3, "heads_q", "3")
REFUSE(AttentionSize, attention_.struct_size = 8, "struct_size", "8")
REFUSE(NoQueries, attention_.q.data = nullptr, "q", "NULL")
REFUSE(NoKeys, attention_.k.data = nullptr, "k", "NULL")
REFUSE(NoLse, attention_.lse.data = nullptr, "lse", "NULL")
REFUSE(LengthTooLarge, static_cast<int32_t *>(attention_.key_lengths.data)[1] = 6;
       instance_.take_snapshot(), "key_lengths", "6")
REFUSE(NoRanges, params_.ranges = nullptr, "ranges", "2")
REFUSE(RangeCountNegative, params_.range_count = -1, "range_count", "-1")
REFUSE(RangeCountLarge, params_.range_count = 65, "range_count", "65", "64")
REFUSE(RangeNegative, ranges_[0] = -1, "ranges", "-1")
REFUSE(RangeBackwards, ranges_[3] = 1, "ranges", "2", "1")
REFUSE(CellsNegative, params_.map_cells = -2, "map_cells", "-2")
REFUSE(CellsLarge, params_.map_cells = 4097, "map_cells", "4097")
REFUSE(NoShare, params_.share = nullptr, "share", "NULL", "16")
REFUSE(ShareShort, params_.share_count = 15, "share_count", "15", "16")
REFUSE(EntropyShort, params_.entropy_count = 7, "entropy_count", "7", "8")
REFUSE(NoMap, params_.map = nullptr, "map", "NULL", "32")
REFUSE(MapShort, params_.map_count = 31, "map_count", "31", "32")
REFUSE(RowsShort, params_.rows_count = 1, "rows_count", "1", "2")
REFUSE(MisalignedShare, params_.share = reinterpret_cast<double *>(reinterpret_cast<char *>(share_) + 4);
       params_.range_count = 1, "share", "8")
TEST_F(MeasureRefusals, NothingAskedForIsNothingDone) {
  params_.range_count = params_.map_cells = 0;
  params_.entropy = nullptr;
  params_.rows = nullptr;
  attention_.batch = int64_t{1} << 40;
  attention_.seq_q = 0;
  attention_.key_lengths = {};
  attention_.k.stride[0] = attention_.v.stride[0] = 80;
  attention_.seq_k = 0;
  ga_error error{};
  EXPECT_EQ(measure(&error), GA_OK) << error.message;
}

REFUSE(MapOverShare, params_.map = share_; params_.map_count = 64, "share", "map")
REFUSE(EntropyOverLse, params_.entropy = static_cast<double *>(attention_.lse.data), "entropy", "lse")

TEST_F(MeasureRefusals, ClosedRuntimesAndNullParams) {
  ga_error error{};
  EXPECT_EQ(ga_attention_measure(0, &params_, &error, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                 nullptr, nullptr, nullptr),
            GA_INVALID_HANDLE);
  EXPECT_EQ(ga_attention_measure(runtime_.handle(), nullptr, &error, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                                 nullptr, nullptr, nullptr, nullptr),
            GA_INVALID_ARGUMENT);
  EXPECT_TRUE(holds_word(error.message, "params")) << error.message;
}

class ValueRefusals : public testing::Test {
 protected:
  ValueRefusals() {
    params_.struct_size = sizeof params_;
    params_.batch = 1;
    params_.seq = 4;
    params_.heads = 2;
    params_.dim = 8;
    params_.bins = 4;
    params_.high = 1;
    params_.values = {values_, sizeof values_, {64, 16, 8, 1}, GA_F32, 0};
    params_.statistics = statistics_;
    params_.statistics_count = 2;
    params_.histogram = histogram_;
    params_.histogram_count = 8;
    std::memset(statistics_, 0x5a, sizeof statistics_);
  }

  void expect_refused(const std::vector<std::string> &words) {
    ga_error error{};
    EXPECT_EQ(ga_measure_values(runtime_.handle(), &params_, &error, nullptr), GA_INVALID_ARGUMENT);
    for (const std::string &word : words)
      EXPECT_TRUE(holds_word(error.message, word)) << '"' << word << "\" is missing in: " << error.message;
    EXPECT_EQ(statistics_[0].count, 0x5a5a5a5a5a5a5a5a);
  }

  const Runtime runtime_{1};
  float values_[64] = {};
  ga_value_statistics statistics_[2];
  int64_t histogram_[8] = {};
  ga_values_params params_{};
};

TEST_F(ValueRefusals, GoodOneIsAccepted) {
  ga_error error{};
  EXPECT_EQ(ga_measure_values(runtime_.handle(), &params_, &error, nullptr), GA_OK) << error.message;
  EXPECT_EQ(statistics_[1].count, 32);
  EXPECT_EQ(ga_measure_values(0, &params_, &error, nullptr), GA_INVALID_HANDLE);
  EXPECT_EQ(ga_measure_values(runtime_.handle(), nullptr, &error, nullptr), GA_INVALID_ARGUMENT);
}

#define REFUSE_VALUES(name, spoil, ...) \
  TEST_F(ValueRefusals, name) {         \
    spoil;                              \
    expect_refused({__VA_ARGS__});      \
  }

REFUSE_VALUES(StructSize, params_.struct_size = 0, "struct_size", "0")
REFUSE_VALUES(BatchNegative, params_.batch = -1, "batch", "-1")
REFUSE_VALUES(SeqHuge, params_.seq = int64_t{1} << 60, "seq")
REFUSE_VALUES(TooMany, params_.batch = params_.seq = int64_t{1} << 40, "values")
REFUSE_VALUES(NoHeads, params_.heads = 0, "heads", "0")
REFUSE_VALUES(NoDim, params_.dim = 0, "dim", "0")
REFUSE_VALUES(Activation, params_.activation = 7, "activation", "7")
REFUSE_VALUES(BinsNegative, params_.bins = -4, "bins", "-4")
REFUSE_VALUES(BinsMany, params_.bins = 5000, "bins", "5000")
REFUSE_VALUES(EmptyHistogram, params_.high = 0, "low", "high", "0")
REFUSE_VALUES(InfiniteHistogram, params_.high = std::numeric_limits<double>::infinity(), "high", "inf")
REFUSE_VALUES(NanLimit, params_.below = std::numeric_limits<double>::quiet_NaN(), "below", "nan")
REFUSE_VALUES(NoValues, params_.values.data = nullptr, "values", "NULL")
REFUSE_VALUES(IntegerValues, params_.values.dtype = GA_I32, "values", "i32")
REFUSE_VALUES(ValuesShort, params_.values.bytes = 255, "values", "255", "256")
REFUSE_VALUES(NoStatistics, params_.statistics = nullptr, "statistics", "NULL", "2")
REFUSE_VALUES(StatisticsShort, params_.statistics_count = 1, "statistics_count", "1", "2")
REFUSE_VALUES(NoHistogram, params_.histogram = nullptr, "histogram", "NULL", "8")
REFUSE_VALUES(HistogramShort, params_.histogram_count = 7, "histogram_count", "7", "8")
REFUSE_VALUES(HistogramOverValues, params_.histogram = reinterpret_cast<int64_t *>(values_), "histogram", "values")

}  // namespace
}  // namespace gatest
