// The ABI as text, for bindings to compare their layouts with, and one line about the build.
#pragma once

namespace ga {

extern const char *const kAbiTable;   // "abi 1", "struct NAME SIZE", "field STRUCT FIELD OFFSET SIZE", "function NAME"
extern const char *const kBuildInfo;  // "gated-attention 0.1.0, GCC 12.2.0, x86_64-linux"

}  // namespace ga
