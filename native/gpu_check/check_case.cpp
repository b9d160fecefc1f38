#include <cstdio>
#include <exception>

#include "environment.h"
#include "number.h"
#include "reference.h"
#include "series.h"

namespace gpu_check {
namespace {

// Scratch memory whose contents and surroundings must not matter.
class Lent {
 public:
  Lent(const Device &device, int64_t bytes, Guards guards)
      : contents_(static_cast<size_t>(bytes), std::byte{0xff}), mirror_(device, contents_.data(), bytes, guards) {}
  void *data() const { return mirror_.data(); }
  std::string check() { return mirror_.download(contents_.data()); }

 private:
  std::vector<std::byte> contents_;
  Mirror mirror_;
};

// One call, from upload to download; empty when nothing but the outputs was written.
std::string run(const Device &device, Placed &placed, const gatest::Instance &instance, int64_t lent_bytes,
                Guards guards) {
  const Stream stream(device);
  ga_attention_params params = placed.params;
  params.stream = stream.handle();
  Lent lent(device, lent_bytes, guards);
  if (lent_bytes > 0) {
    params.workspace = lent.data();
    params.workspace_bytes = lent_bytes;
  }
  ga_error error{};
  require(ga_attention_forward(device.runtime(), &params, &error), error);
  stream.synchronize();
  std::string failure = placed.download(instance);
  if (failure.empty() && lent_bytes > 0) {
    failure = lent.check();
    if (!failure.empty()) failure = "workspace: the call " + failure;
  }
  return failure;
}

}  // namespace

bool guarded(const Device &device, Tally &tally, const std::string &check, const std::string &what,
             const std::function<void()> &action) {
  try {
    action();
  } catch (const std::exception &e) {
    tally.failed(check, "none", std::string(e.what()) + "\n  " + what);
  }
  try {
    device.synchronize();
  } catch (const std::exception &e) {
    std::printf("  the device is lost, nothing more is asked of it: %s\n", e.what());
    return false;
  }
  return !tally.too_many();
}

void check_case(const Device &device, const gatest::Case &c, const std::string &check, bool must, const Scope &scope,
                Tally &tally) {
  gatest::announce_case(gatest::describe(c));
  gatest::Instance instance(c);
  Placed placed(device, instance, scope.guards);
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  const ga_status status = ga_attention_plan_for(device.runtime(), &placed.params, &plan, &error);
  if (status == GA_UNSUPPORTED && !must) return tally.refused(check, error.message);
  require(status, error);
  const std::string family = Tally::family_of(plan.kernel);
  const auto fail = [&](const std::string &text) {
    tally.failed(check, family, text + "\n  " + plan.kernel + ", " + gatest::describe(c));
  };
  for (const char *other :
       {"decode", "forward_sm90", "forward_mma"})  // a folder of kernels may have names besides its own
    if (!scope.family.empty() && scope.family != other && family == other)
      return fail("is not the family that was asked for");

  const gatest::Reference reference = gatest::reference_forward(instance.params);
  std::string failure = run(device, placed, instance, 0, scope.guards);
  gatest::ErrorBalance balance;
  if (failure.empty()) failure = gatest::compare(instance, reference, &balance);
  if (!failure.empty()) return fail(failure);
  const std::vector<std::byte> out = instance.out_bits(), lse = instance.lse_bits();
  failure = instance.untouched_elsewhere();
  if (!failure.empty()) return fail(failure);

  placed.upload(instance);
  failure = run(device, placed, instance, plan.workspace_bytes, scope.guards);
  if (!failure.empty()) return fail(failure);
  if (instance.out_bits() != out || instance.lse_bits() != lse) return fail("gives other bits when it runs again");
  // RMSNorm and SiLU let errors grow where the bound knows it and the balance would not.
  if (c.pre_gate != GA_PRE_NONE) balance.sum = balance.sum_outwards = balance.elements = 0;
  tally.held(check, family, balance);
}

}  // namespace gpu_check
