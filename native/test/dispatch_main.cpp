// Says which instruction set a runtime uses here and checks its results; run by qemu as processors of other ages.
//
//   gatedattention_dispatch [EXPECTED_ISA [CASES]]
//
// With an expected name: that the best runtime uses it, that all below are available, that all above are refused for a reason.

#include <cstdlib>
#include <iostream>
#include <string>

#include "environment.h"
#include "instance.h"
#include "random.h"
#include "random_case.h"
#include "runtime.h"

namespace {

int failures = 0;

void check(bool holds, const std::string &what) {
  if (holds) return;
  std::cerr << "FAILED: " << what << '\n';
  ++failures;
}

void check_availability(ga_isa best) {
  for (ga_isa isa = GA_ISA_SCALAR; isa < GA_ISA_COUNT; ++isa) {
    const char *reason = ga_isa_unavailable(isa);
    const std::string name = ga_isa_name(isa);
    std::cout << "  " << name << ": " << (reason == nullptr ? "available" : reason) << '\n';
    if (isa == best || isa == GA_ISA_SCALAR) check(reason == nullptr, name + " is available");
    if (isa > best) check(reason != nullptr && *reason != '\0', name + " is refused with a reason");
    // A cap above what the machine has is no error: the best that it has is used.
    const ga_isa used = gatest::Runtime(1, isa).query().isa;
    check(used <= isa && ga_isa_unavailable(used) == nullptr, "a runtime capped at " + name + " uses what is available");
    if (reason == nullptr) check(used == isa, "a runtime capped at " + name + " uses it");
  }
}

void check_results(ga_isa isa, int64_t cases) {
  const gatest::Runtime runtime(2, isa);
  for (int64_t n = 0; n < cases; ++n) {
    const gatest::Case c = gatest::random_case(gatest::case_seed(4040, n), {.budget = 200'000});
    gatest::announce_case(gatest::describe(c));
    const std::string failure = gatest::run_and_check(runtime.handle(), c, gatest::Placement::kRedZones, nullptr);
    check(failure.empty(), std::string(ga_isa_name(isa)) + ": " + failure);
  }
  std::cout << "  " << ga_isa_name(isa) << ": " << cases << " random cases\n";
}

}  // namespace

int main(int argc, char **argv) {
  gatest::report_fatal_signals();
  const ga_isa best = gatest::Runtime(1).query().isa;
  std::cout << "instruction set in use: " << ga_isa_name(best) << '\n';
  if (argc > 1) check(argv[1] == std::string(ga_isa_name(best)), std::string("expected ") + argv[1]);
  check_availability(best);
  const int64_t cases = argc > 2 ? std::strtoll(argv[2], nullptr, 10) : 20;
  for (const ga_isa isa : gatest::available_isas()) check_results(isa, cases);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
