// The time stage: the device's ceilings, then every cell, this library and PyTorch in turns.
#pragma once

#include <string>

#include "device.h"
#include "record.h"

namespace gpu_check {

struct TimingOptions {
  std::string peers;     // the command that starts them; empty: none
  double seconds = 180;  // cells that would begin later are left out, and said to be
  bool tiny = false;     // for a test on a CPU
};

// false: something that was timed is wrong or could not run.
bool time_cells(const Device &device, const TimingOptions &options, RecordFile &file);

}  // namespace gpu_check
