#include "environment.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace gatest {
namespace {

char announced[2048];

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void print_announced(int number) {
  const char *what = number == SIGILL ? "\nillegal instruction during " : "\nfatal signal during ";
  // A failed write leaves nothing else to do: the process is about to end.
  ssize_t written = write(STDERR_FILENO, what, std::strlen(what));
  written += write(STDERR_FILENO, announced, std::strlen(announced));
  written += write(STDERR_FILENO, "\n", 1);
  static_cast<void>(written);
  raise(number);  // SA_RESETHAND has put the default action back
}
#endif

}  // namespace

int64_t setting(const char *name, int64_t fallback) {
  const char *value = std::getenv(name);
  return value == nullptr || *value == '\0' ? fallback : std::strtoll(value, nullptr, 10);
}

void announce_case(const std::string &description) { std::strncpy(announced, description.c_str(), sizeof announced - 1); }

void report_fatal_signals() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  struct sigaction action{};
  action.sa_handler = print_announced;
  action.sa_flags = SA_RESETHAND;
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE}) sigaction(number, &action, nullptr);
#endif
}

}  // namespace gatest
