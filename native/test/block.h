// Memory for operands whose surroundings are watched: by known bytes around it, or by pages that may not be touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gatest {

enum class Placement {
  kRedZones,    // known bytes before and after, compared later; out of bounds for AddressSanitizer too
  kGuardAfter,  // ends where an inaccessible page begins
  kGuardBefore  // begins where an inaccessible page ends
};

// Filled with 0xff bytes, which are NaN in every floating-point type.
class Block {
 public:
  Block(int64_t bytes, Placement placement);
  ~Block();
  Block(Block &&other) noexcept;
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;
  Block &operator=(Block &&) = delete;

  std::byte *data() const { return data_; }
  int64_t bytes() const { return bytes_; }

  // Remembers the contents as they are.
  void take_snapshot();
  const std::vector<std::byte> &snapshot() const { return snapshot_; }

  // Empty when the contents equal the snapshot and the surroundings are as they were; else the first difference.
  std::string difference(const std::string &name) const;

  // Makes a guarded block read-only, or writable again. Does nothing to one with red zones.
  void set_writable(bool writable) const;

 private:
  Placement placement_;
  int64_t bytes_;
  int64_t mapped_ = 0;
  std::byte *memory_ = nullptr;
  std::byte *data_ = nullptr;
  std::vector<std::byte> snapshot_;
};

}  // namespace gatest
