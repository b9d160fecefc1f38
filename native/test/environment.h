// Settings of the test programs, from the environment, and the case at hand for crash messages.
#pragma once

#include <cstdint>
#include <string>

namespace gatest {

// The value of an environment variable as an integer, or fallback.
int64_t setting(const char *name, int64_t fallback);

// Written to standard error should the process receive a fatal signal during the case.
void announce_case(const std::string &description);

// Prints the announced case on SIGSEGV, SIGBUS, SIGILL and SIGFPE, which then take their usual course. Sanitizers report
// such signals themselves, so under them this does nothing.
void report_fatal_signals();

}  // namespace gatest
