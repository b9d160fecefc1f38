#include "emulated_call.h"

#include "abi/validate.h"
#include "reference.h"

namespace gatest {

std::string problem_of(const ga_attention_params &params, ga::Problem &p) {
  ga::Refusal no;
  if (ga::check_problem(&params, ga::Purpose::kCall, p, no)) return "";
  ga_error error{};
  no.report(&error);
  return std::string("refused: ") + error.message;
}

std::string run_emulated(const Case &c, const EmulatedKernel &kernel, ErrorBalance *balance) {
  Instance instance(c, Placement::kRedZones);
  const Reference reference = reference_forward(instance.params);
  ga::Problem p;
  std::string failure = problem_of(instance.params, p);
  if (failure.empty()) failure = kernel(p);
  if (failure.empty()) failure = compare(instance, reference, balance);
  if (failure.empty()) failure = instance.untouched_elsewhere();
  return failure.empty() ? "" : failure + "\n  " + describe(c);
}

}  // namespace gatest
