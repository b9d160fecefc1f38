// What all stages found, as gpu-check.json, as gpu-check.md and as a table for the terminal.
#pragma once

#include <string>

#include "record.h"

namespace gpu_check {

// At most 40 lines, none wider than 118 characters.
std::string table(const Records &records);
std::string markdown(const Records &records);
// An array of the records, one per line.
std::string json(const Records &records);

// Whether every stage that ran held.
bool all_held(const Records &records);

}  // namespace gpu_check
