// A device as a user of the C ABI has it: runtime, memory and streams that close themselves. A failure is a std::runtime_error.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gated_attention.h"

namespace gpu_check {

void require(ga_status status, const ga_error &error);

class Device {
 public:
  explicit Device(const char *library);  // the first device; nullptr: the library beside the other one
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  ga_runtime runtime() const { return runtime_; }
  const ga_runtime_info &info() const { return info_; }
  int64_t free_bytes() const;

  // Between the host and the device, either way; returns when it is done.
  void copy(void *to, const void *from, int64_t bytes) const;
  void synchronize(void *stream = nullptr) const;

 private:
  ga_runtime runtime_ = 0;
  ga_runtime_info info_{};
};

class Memory {
 public:
  Memory(const Device &device, int64_t bytes);
  ~Memory();
  Memory(Memory &&other) noexcept;
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  Memory &operator=(Memory &&) = delete;

  std::byte *data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  const Device *device_;
  std::byte *data_ = nullptr;
  int64_t bytes_;
};

class Stream {
 public:
  explicit Stream(const Device &device);
  ~Stream();
  Stream(const Stream &) = delete;
  Stream &operator=(const Stream &) = delete;

  void *handle() const { return handle_; }
  void synchronize() const { device_.synchronize(handle_); }

 private:
  const Device &device_;
  void *handle_ = nullptr;
};

}  // namespace gpu_check
