#include "device.h"

#include <stdexcept>
#include <string>
#include <utility>

namespace gpu_check {

void require(ga_status status, const ga_error &error) {
  if (status != GA_OK) throw std::runtime_error(std::string(ga_status_name(status)) + ": " + error.message);
}

Device::Device(const char *library) {
  const ga_runtime_options options{sizeof options, 1, GA_ISA_COUNT, GA_DEVICE_CUDA, 0, library};
  ga_error error{};
  require(ga_runtime_create(&options, &runtime_, &error), error);
  info_.struct_size = sizeof info_;
  require(ga_runtime_query(runtime_, &info_, &error), error);
}

Device::~Device() { ga_runtime_close(runtime_, nullptr); }

int64_t Device::free_bytes() const {
  ga_runtime_info info{};
  info.struct_size = sizeof info;
  ga_error error{};
  require(ga_runtime_query(runtime_, &info, &error), error);
  return info.free_bytes;
}

void Device::copy(void *to, const void *from, int64_t bytes) const {
  ga_error error{};
  require(ga_memory_copy(runtime_, to, from, bytes, nullptr, &error, nullptr, nullptr), error);
  synchronize();
}

void Device::synchronize(void *stream) const {
  ga_error error{};
  require(ga_stream_synchronize(runtime_, stream, &error), error);
}

Memory::Memory(const Device &device, int64_t bytes) : device_(&device), bytes_(bytes) {
  ga_error error{};
  void *memory = nullptr;
  require(ga_memory_allocate(device.runtime(), GA_MEMORY_DEVICE, bytes, &memory, &error), error);
  data_ = static_cast<std::byte *>(memory);
}

Memory::~Memory() {
  if (data_) ga_memory_free(device_->runtime(), data_, nullptr);
}

Memory::Memory(Memory &&other) noexcept
    : device_(other.device_), data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}

Stream::Stream(const Device &device) : device_(device) {
  ga_error error{};
  require(ga_stream_open(device.runtime(), &handle_, &error), error);
}

Stream::~Stream() { ga_stream_close(device_.runtime(), handle_, nullptr); }

}  // namespace gpu_check
