// How a check refuses: a status and one sentence that names the argument and the values. The first refusal stays.
//
// The library is built without exceptions: they would bring the C++ run time and a newer libc along.
#pragma once

#include <cstdarg>
#include <cstdio>

#include "gated_attention.h"

namespace ga {

class Refusal {
 public:
  // Always false, so that a check reads: return no.invalid("threads is %d; ...", threads);
  [[gnu::format(printf, 2, 3)]] bool invalid(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(GA_INVALID_ARGUMENT, format, arguments);
    va_end(arguments);
    return false;
  }
  [[gnu::format(printf, 3, 4)]] bool with(ga_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(status, format, arguments);
    va_end(arguments);
    return false;
  }

  // The call's result; on failure also the caller's ga_error (may be NULL).
  ga_status report(ga_error *error) const {
    if (status_ != GA_OK && error) {
      error->status = status_;
      std::snprintf(error->message, sizeof error->message, "%s", message_);
    }
    return status_;
  }

 private:
  void record(ga_status status, const char *format, va_list arguments) {
    if (status_ != GA_OK) return;
    status_ = status;
    std::vsnprintf(message_, sizeof message_, format, arguments);
  }

  ga_status status_ = GA_OK;
  char message_[sizeof(ga_error::message)];  // left alone unless something fails: the hot path does not clear it
};

}  // namespace ga
