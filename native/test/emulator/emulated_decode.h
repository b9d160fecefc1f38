// Decode on the emulator, laid out for a device by the same plan as on a GPU.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/problem.h"
#include "cuda/decode/plan.h"
#include "machine.h"

namespace gatest {

ga::cuda::DeviceFacts hopper();
ga::cuda::DeviceFacts small_ada();  // 6 multiprocessors with 99 KB of shared memory

// Memory of launches: whatever it holds, but for the counters, which are zero before the first.
struct DecodeWorkspace {
  std::vector<uint64_t> words;
  bool counters_are_zero() const;  // as every launch leaves them
  size_t counter_bytes = 0;
};

// One launch. tamper: breaks the kernel's arguments on purpose.
std::string run_decode(const ga::Problem &p, const ga::cuda::DeviceFacts &device, const gaemu::Options &options,
                       DecodeWorkspace &workspace, const std::function<void(ga::cuda::decode::Arguments &)> &tamper = {});

std::string run_merge(const ga::Merge &m, const gaemu::Options &options);

}  // namespace gatest
