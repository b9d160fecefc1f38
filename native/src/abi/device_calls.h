// Checked calls on a runtime of a device: they go through the table of its library.
#pragma once

#include <initializer_list>

#include "abi/refusal.h"
#include "core/runtime.h"

namespace ga {

// Each returns false when it refused.
bool open_device(Runtime &r, int32_t index, const char *library, Refusal &no);
bool query_device(const Runtime &r, ga_runtime_info &info, Refusal &no);
bool plan_on_device(const Runtime &r, const Problem &p, ga_attention_plan &plan, Refusal &no);
bool forward_on_device(const Runtime &r, const Problem &p, const ga_attention_params &c, Refusal &no);
bool merge_on_device(const Runtime &r, const Merge &m, void *stream, Refusal &no);
bool project_on_device(const Runtime &r, const Projection &p, void *stream, Refusal &no);

struct NamedView {
  const char *name;
  const View &view;
};
constexpr int kMostTensors = 17;  // of a call

// A kernel that reads memory of the host ends the device for the whole process, so each tensor is looked at.
bool check_places(const Runtime &r, std::initializer_list<NamedView> tensors, Refusal &no);

bool check_on_cpu(const Runtime &r, const char *what, Refusal &no);  // what: of which there are no kernels for devices
bool check_no_stream(const void *stream, Refusal &no);               // on the CPU

}  // namespace ga
