// Arrays of lengths, starts and pages as a call takes them.
#pragma once

#include <cstdint>
#include <vector>

#include "gated_attention.h"

namespace gatest {

// [values / columns, columns]; a plain array is one column.
inline ga_tensor numbers(std::vector<int32_t> &values, int64_t columns = 1) {
  ga_tensor t{};
  t.data = values.data();
  t.bytes = static_cast<int64_t>(values.size()) * 4;
  t.stride[0] = columns;
  t.stride[1] = t.stride[2] = t.stride[3] = 1;
  t.dtype = GA_I32;
  return t;
}

}  // namespace gatest
