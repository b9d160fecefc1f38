// Runtimes of the fake device, and the handle to steer it.
#pragma once

#include <dlfcn.h>

#include <stdexcept>

#include "gated_attention.h"

namespace gatest {

inline ga_runtime_options cuda_options(const char *library, int32_t index = 0) {
  return {sizeof(ga_runtime_options), 1, GA_ISA_COUNT, GA_DEVICE_CUDA, index, library};
}

// A function of the fake library, which is loaded once and stays.
template <class Function>
Function *fake(const char *name) {
  static void *library = dlopen(GA_FAKE_CUDA, RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, name) : nullptr;
  if (!function) throw std::runtime_error(dlerror());
  return reinterpret_cast<Function *>(function);
}

class DeviceRuntime {
 public:
  explicit DeviceRuntime(int32_t index = 0) {
    fake<void(int32_t)>("fake_cuda_trust")(0);
    const ga_runtime_options options = cuda_options(GA_FAKE_CUDA, index);
    ga_error error{};
    if (ga_runtime_create(&options, &handle_, &error) != GA_OK) throw std::runtime_error(error.message);
  }
  ~DeviceRuntime() { ga_runtime_close(handle_, nullptr); }
  DeviceRuntime(const DeviceRuntime &) = delete;
  DeviceRuntime &operator=(const DeviceRuntime &) = delete;
  DeviceRuntime(DeviceRuntime &&) = delete;
  DeviceRuntime &operator=(DeviceRuntime &&) = delete;

  ga_runtime handle() const { return handle_; }
  // All memory counts as the device's from now on: so the tests of the CPU's calls can be run on the device.
  void trust_all_memory() const { fake<void(int32_t)>("fake_cuda_trust")(1); }

 private:
  ga_runtime handle_ = 0;
};

}  // namespace gatest
