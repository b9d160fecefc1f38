#include "record.h"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace gpu_check {
namespace {

std::string quoted(const std::string &text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", c);
      result += escape;
    } else {
      result += c;
    }
  }
  return result + '"';
}

std::string shown(const Record::Value &value) {
  if (const auto *text = std::get_if<std::string>(&value)) return quoted(*text);
  if (const bool *flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  const double number = std::get<double>(value);
  if (!std::isfinite(number)) return "null";  // JSON has no other word for it
  char digits[32];
  std::snprintf(digits, sizeof digits, "%.10g", number);
  return digits;
}

class Parser {
 public:
  explicit Parser(const std::string &line) : line_(line) {}

  Record record() {
    Record result;
    expect('{');
    if (take('}')) return result;
    do {
      const std::string key = string();
      expect(':');
      value(result, key);
    } while (take(','));
    expect('}');
    return result;
  }

 private:
  void skip() {
    while (at_ < line_.size() && std::strchr(" \t\r", line_[at_])) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ >= line_.size() || line_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) fail();
  }
  [[noreturn]] void fail() const {
    throw std::runtime_error("no flat JSON object at character " + std::to_string(at_ + 1) + ": " + line_);
  }

  std::string string() {
    expect('"');
    std::string text;
    while (at_ < line_.size() && line_[at_] != '"') {
      char c = line_[at_++];
      if (c == '\\') c = escape();
      text += c;
    }
    expect('"');
    return text;
  }

  char escape() {
    if (at_ >= line_.size()) fail();
    const char c = line_[at_++];
    if (c == 'n') return '\n';
    if (c == 't') return '\t';
    if (c == 'r') return '\r';
    if (c != 'u') return c;
    if (at_ + 4 > line_.size()) fail();
    const long code = std::strtol(line_.substr(at_, 4).c_str(), nullptr, 16);
    at_ += 4;
    return code < 128 ? static_cast<char>(code) : '?';
  }

  void value(Record &result, const std::string &key) {
    skip();
    if (at_ < line_.size() && line_[at_] == '"') {
      result.set(key, string());
    } else if (word("true")) {
      result.set(key, true);
    } else if (word("false")) {
      result.set(key, false);
    } else if (word("null")) {
      result.set(key, std::nan(""));
    } else {
      char *end = nullptr;
      const double number = std::strtod(line_.c_str() + at_, &end);
      if (end == line_.c_str() + at_) fail();
      at_ = static_cast<size_t>(end - line_.c_str());
      result.set(key, number);
    }
  }

  bool word(const char *text) {
    if (line_.compare(at_, std::strlen(text), text) != 0) return false;
    at_ += std::strlen(text);
    return true;
  }

  const std::string &line_;
  size_t at_ = 0;
};

}  // namespace

Record &Record::put(const std::string &key, Value value) {
  for (auto &[name, old] : entries_)
    if (name == key) {
      old = std::move(value);
      return *this;
    }
  entries_.emplace_back(key, std::move(value));
  return *this;
}

const Record::Value *Record::find(const std::string &key) const {
  for (const auto &[name, value] : entries_)
    if (name == key) return &value;
  return nullptr;
}

std::string Record::text(const std::string &key) const {
  const Value *value = find(key);
  return value && std::holds_alternative<std::string>(*value) ? std::get<std::string>(*value) : "";
}

double Record::number(const std::string &key) const {
  const Value *value = find(key);
  return value && std::holds_alternative<double>(*value) ? std::get<double>(*value) : 0;
}

bool Record::flag(const std::string &key) const {
  const Value *value = find(key);
  return value && std::holds_alternative<bool>(*value) && std::get<bool>(*value);
}

std::string Record::json() const {
  std::string result = "{";
  for (const auto &[key, value] : entries_) {
    if (result.size() > 1) result += ", ";
    result += quoted(key) + ": " + shown(value);
  }
  return result + "}";
}

Record Record::parse(const std::string &line) { return Parser(line).record(); }

Records read_records(const std::string &path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path + ": " + std::strerror(errno));
  Records records;
  std::string line;
  while (std::getline(file, line)) {
    const size_t start = line.find('{');
    if (start != std::string::npos) records.push_back(Record::parse(line.substr(start)));
  }
  return records;
}

RecordFile::RecordFile(const std::string &path) {
  if (path.empty()) return;
  file_ = std::fopen(path.c_str(), "a");
  if (!file_) throw std::runtime_error("cannot write " + path + ": " + std::strerror(errno));
}

RecordFile::~RecordFile() {
  if (file_) std::fclose(file_);
}

void RecordFile::add(const Record &record) {
  if (!file_) return;
  std::fprintf(file_, "%s\n", record.json().c_str());
  std::fflush(file_);
}

}  // namespace gpu_check
