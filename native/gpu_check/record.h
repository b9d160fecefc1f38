// A line of the report: a flat JSON object of strings, numbers and booleans, in the order in which they were set.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gpu_check {

class Record {
 public:
  using Value = std::variant<std::string, double, bool>;

  Record() = default;
  explicit Record(const std::string &stage) { set("stage", stage); }

  Record &set(const std::string &key, const std::string &value) { return put(key, value); }
  Record &set(const std::string &key, const char *value) { return put(key, std::string(value)); }
  Record &set(const std::string &key, double value) { return put(key, value); }
  Record &set(const std::string &key, bool value) { return put(key, value); }

  bool has(const std::string &key) const { return find(key) != nullptr; }
  // Empty, 0, false where there is no such key or it is of another kind.
  std::string text(const std::string &key) const;
  double number(const std::string &key) const;
  bool flag(const std::string &key) const;

  std::string json() const;
  // Throws std::runtime_error where the line is no flat object.
  static Record parse(const std::string &line);

 private:
  Record &put(const std::string &key, Value value);
  const Value *find(const std::string &key) const;

  std::vector<std::pair<std::string, Value>> entries_;
};

using Records = std::vector<Record>;

// One object per line; brackets and commas around the lines, as in the report's file, do not matter.
Records read_records(const std::string &path);

// Appends a line, written out at once: what was found survives a crash of what follows.
class RecordFile {
 public:
  explicit RecordFile(const std::string &path);  // empty: records are dropped
  ~RecordFile();
  RecordFile(const RecordFile &) = delete;
  RecordFile &operator=(const RecordFile &) = delete;
  void add(const Record &record);

 private:
  std::FILE *file_ = nullptr;
};

}  // namespace gpu_check
