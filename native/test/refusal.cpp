#include "refusal.h"

#include <cctype>
#include <cstring>

namespace gatest {
namespace {

bool digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }
bool word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Whether the text goes on with more of a name or a number: "-" and "." count beside digits only.
bool continues(const std::string &text, size_t end, bool number) {
  if (end >= text.size()) return false;
  return word_character(text[end]) || (number && text[end] == '.' && end + 1 < text.size() && digit(text[end + 1]));
}

}  // namespace

Case good_call() {
  Case c;
  c.batch = 2;
  c.seq_q = 3;
  c.seq_k = 5;
  c.heads_q = 4;
  c.heads_kv = 2;
  c.head_dim = 16;
  c.head_dim_v = 24;
  c.pre_gate = GA_PRE_RMS_NORM;
  lay_out_densely(c, {.gate = true, .norm_weight = true, .sink = true, .key_lengths = true, .lse = true});
  c.lengths = {5, 4};
  return c;
}

bool holds_word(const std::string &text, const std::string &word) {
  const bool number = digit(word.back());
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    const bool begins = !word_character(before) && !(number && (before == '-' || before == '.'));
    if (begins && !continues(text, at + word.size(), number)) return true;
  }
  return false;
}

void expect_refused(ga_runtime runtime, const Instance &instance, const BadCall &bad) {
  SCOPED_TRACE(bad.what);
  ga_error error{};
  std::memset(&error, 0x5a, sizeof error);
  EXPECT_EQ(ga_attention_forward(runtime, &instance.params, &error), bad.status);
  EXPECT_EQ(error.status, bad.status);
  const size_t length = strnlen(error.message, sizeof error.message);
  ASSERT_LT(length, sizeof error.message) << "the message is not terminated";
  const std::string message(error.message, length);
  for (const std::string &word : bad.words) {
    EXPECT_TRUE(holds_word(message, word)) << '"' << word << "\" is missing in: " << message;
  }
  EXPECT_EQ(instance.untouched(), "");
  EXPECT_EQ(ga_attention_forward(runtime, &instance.params, nullptr), bad.status) << "without a ga_error";
  EXPECT_EQ(instance.untouched(), "");
}

void expect_all_refused(const Case &c, const std::vector<BadCall> &calls) {
  const Runtime runtime(2);
  for (const BadCall &bad : calls) {
    Instance instance(c);
    bad.spoil(instance.params);
    instance.take_snapshot();
    expect_refused(runtime.handle(), instance, bad);
    // The plan is refused for the same reason.
    ga_attention_plan plan{};
    plan.struct_size = sizeof plan;
    ga_error error{};
    EXPECT_EQ(ga_attention_plan_for(runtime.handle(), &instance.params, &plan, &error), bad.status) << bad.what;
  }
}

}  // namespace gatest
