// ga_attention_forward by the kernels of src/cuda/forward_mma on the emulator: linked before the library's, it takes the forward
// calls of tests that know nothing of it. With GA_EMULATED_DECODE=1 those that decode does not refuse are done by it. Everything
// else is the library's.
#include "abi/validate.h"
#include "emulated_decode.h"
#include "environment.h"
#include "forward_mma.h"

ga_status ga_attention_forward(ga_runtime, const ga_attention_params *params, ga_error *error) noexcept {
  ga::Problem p;
  ga::Refusal no;
  if (!ga::check_problem(params, ga::Purpose::kCall, p, no)) return no.report(error);
  static uint64_t calls = 0;
  gaemu::Options options;
  options.seed = ++calls;
  options.asynchronous = static_cast<gaemu::Asynchronous>(calls % 3);
  static const bool decodes = gatest::setting("GA_EMULATED_DECODE", 0) != 0;
  gatest::DecodeWorkspace workspace;
  const std::string failure = decodes && !ga::cuda::decode::refusal_of(p)
                                  ? gatest::run_decode(p, gatest::hopper(), options, workspace)
                                  : gatest::forward_mma(p, options, calls % 2 != 0 ? 1 << 14 : 1 << 25);
  if (failure.empty()) return GA_OK;
  ga::Refusal defect;
  defect.invalid("%s", failure.c_str());
  return defect.report(error);
}
