// Bad calls: what they are, and that each is refused by name with nothing written.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "instance.h"
#include "runtime.h"

namespace gatest {

// A change that makes a good call a bad one, and the words that the message must hold: the argument and the values.
struct BadCall {
  const char *what;
  std::function<void(ga_attention_params &)> spoil;
  std::vector<std::string> words;
  ga_status status = GA_INVALID_ARGUMENT;
};

// A small call with every operand: B 2, Sq 3, Sk 5, heads 4/2, D 16, Dv 24, f32, dense.
Case good_call();

// Whether text holds word as a word of its own: "q" is not found in "seq_q".
bool holds_word(const std::string &text, const std::string &word);

// One call with the given parameters: the status, that the message holds the words, that no output was written.
void expect_refused(ga_runtime runtime, const Instance &instance, const BadCall &bad);

// Each bad call made of a good one.
void expect_all_refused(const Case &c, const std::vector<BadCall> &calls);

}  // namespace gatest
