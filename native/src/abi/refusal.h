// How a check refuses: a status and one sentence that names the argument and the values.
#pragma once

#include <cstdarg>
#include <cstdio>

#include "gated_attention.h"

namespace ga {

struct Refusal {
  ga_status status = GA_INTERNAL;
  char message[sizeof(ga_error::message)] = {};
};

[[noreturn]] [[gnu::format(printf, 2, 3)]] inline void refuse(ga_status status, const char *format, ...) {
  Refusal refusal;
  refusal.status = status;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(refusal.message, sizeof refusal.message, format, arguments);
  va_end(arguments);
  throw refusal;
}

}  // namespace ga
