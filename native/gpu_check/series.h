// The series of cases that are compared with float64.
#pragma once

#include <functional>
#include <string>

#include "case.h"
#include "device.h"
#include "placed.h"
#include "tally.h"

namespace gpu_check {

struct Scope {
  Guards guards = Guards::kKnownBytes;
  std::string family;  // the only one that may compute; empty: whichever the library takes
  int64_t cases = 0;   // of each random series
  int64_t budget = 0;  // multiply-adds of a random case at most
};

// Whatever the name says happens within it: an exception of the library's is a failure of the check and not of the program.
// false: the device is lost, and nothing more can be asked of it.
bool guarded(const Device &device, Tally &tally, const std::string &check, const std::string &what,
             const std::function<void()> &action);

// Calls the library twice, on two streams, once with its own scratch memory and once with some that was lent full of NaN:
// within the bound of every element, nothing else written, the same bits. must: a refusal is a failure.
void check_case(const Device &device, const gatest::Case &c, const std::string &check, bool must, const Scope &scope,
                Tally &tally);

// Each returns false where the device was lost or too much failed.
bool check_random(const Device &device, const Scope &scope, Tally &tally);  // every option, odd sizes and layouts
bool check_grid(const Device &device, const Scope &scope,
                Tally &tally);  // every type, head_dim, mask and gate of the kernels
bool check_sequences(const Device &device, const Scope &scope, Tally &tally);  // packed, padded and paged; int8 caches
bool check_golden(const Device &device, const std::string &folder, const Scope &scope, Tally &tally);
bool check_graphs(const Device &device, const Scope &scope, Tally &tally);
bool check_merges(const Device &device, const Scope &scope, Tally &tally);
bool check_projections(const Device &device, const Scope &scope, Tally &tally);
bool check_refusals(const Device &device, const Scope &scope, Tally &tally);

}  // namespace gpu_check
