// A case of the tests on the device: each block in memory of its own, between known bytes.
#pragma once

#include <string>
#include <vector>

#include "device.h"
#include "instance.h"

namespace gpu_check {

// guards: compared by the program itself. Without them each block is an allocation of exactly its size, which is what a memory
// checker watches.
enum class Guards { kKnownBytes, kNone };

// Memory of the device that mirrors memory of the host.
class Mirror {
 public:
  Mirror(const Device &device, const std::byte *host, int64_t bytes, Guards guards);

  std::byte *data() const { return memory_.data() + guard_; }
  void upload(const std::byte *host);
  // Into the host's memory. Empty, or what was written around it.
  std::string download(std::byte *host) const;

 private:
  const Device &device_;
  int64_t bytes_, guard_;
  Memory memory_;
};

class Placed {
 public:
  Placed(const Device &device, const gatest::Instance &instance, Guards guards);

  ga_attention_params params{};  // with addresses of the device

  // Of this instance, or of another one with the same blocks.
  void upload(const gatest::Instance &instance);
  std::string download(const gatest::Instance &instance) const;

 private:
  std::vector<Mirror> blocks_;
};

}  // namespace gpu_check
