// Runtimes that close themselves, and the instruction sets that this machine can be tested with.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "gated_attention.h"

namespace gatest {

inline ga_runtime_options cpu_options(int32_t threads, ga_isa max_isa = GA_ISA_COUNT) {
  return {sizeof(ga_runtime_options), threads, max_isa, GA_DEVICE_CPU, 0, nullptr};
}

class Runtime {
 public:
  explicit Runtime(int32_t threads, ga_isa max_isa = GA_ISA_COUNT) {
    const ga_runtime_options options = cpu_options(threads, max_isa);
    ga_error error{};
    if (ga_runtime_create(&options, &handle_, &error) != GA_OK) throw std::runtime_error(error.message);
  }
  ~Runtime() { ga_runtime_close(handle_, nullptr); }
  Runtime(const Runtime &) = delete;
  Runtime &operator=(const Runtime &) = delete;
  Runtime(Runtime &&) = delete;
  Runtime &operator=(Runtime &&) = delete;

  ga_runtime handle() const { return handle_; }

  ga_runtime_info query() const {
    ga_runtime_info info{};
    info.struct_size = sizeof info;
    ga_error error{};
    if (ga_runtime_query(handle_, &info, &error) != GA_OK) throw std::runtime_error(error.message);
    return info;
  }

 private:
  ga_runtime handle_ = 0;
};

// Worst first.
inline std::vector<ga_isa> available_isas() {
  std::vector<ga_isa> isas;
  for (ga_isa isa = GA_ISA_SCALAR; isa < GA_ISA_COUNT; ++isa) {
    if (ga_isa_unavailable(isa) == nullptr) isas.push_back(isa);
  }
  return isas;
}

// What a runtime without a cap uses.
inline ga_isa best_isa() {
  const ga_isa last = available_isas().back();
#if defined(__x86_64__)
  if (last == GA_ISA_AVX512_BF16 && __builtin_cpu_is("intel"))
    return GA_ISA_AVX512;  // it multiplies pairs of bf16 slowly
#endif
  return last;
}

}  // namespace gatest
