// Calls captured once in a CUDA graph and replayed: on other contents, and on a cache that grows between replays.
#include <cmath>
#include <memory>

#include "driver.h"
#include "environment.h"
#include "number.h"
#include "reference.h"
#include "series.h"

namespace gpu_check {
namespace {

gatest::Case graph_case(ga_dtype dtype, int32_t head_dim, bool decode) {
  gatest::Case c;
  c.dtype = dtype;
  c.head_dim = c.head_dim_v = head_dim;
  c.scale = 1 / std::sqrt(static_cast<float>(head_dim));
  c.batch = 3;
  c.heads_kv = 2;
  c.heads_q = 8;
  c.seq_q = decode ? 1 : 200;
  c.seq_k = decode ? 700 : 200;
  c.flags = GA_CAUSAL;
  gatest::lay_out_densely(c, {.gate = true, .key_lengths = decode, .lse = true});
  return c;
}

// The case of one replay: its lengths, its contents.
gatest::Case step(gatest::Case c, int n) {
  constexpr int32_t kLengths[][3] = {{5, 64, 1}, {129, 65, 0}, {700, 640, 333}, {1, 2, 700}};
  c.seed = static_cast<uint64_t>(n) + 11;
  if (c.key_lengths.present()) c.lengths.assign(kLengths[n], kLengths[n] + 3);
  return c;
}

void check_graph(const Device &device, const gatest::Case &c, const Scope &scope, Tally &tally) {
  const gatest::Instance first(step(c, 0));
  Placed placed(device, first, scope.guards);
  ga_attention_plan plan{};
  plan.struct_size = sizeof plan;
  ga_error error{};
  const ga_status status = ga_attention_plan_for(device.runtime(), &placed.params, &plan, &error);
  if (status == GA_UNSUPPORTED) return tally.refused("graph", error.message);
  require(status, error);
  const Stream stream(device);
  placed.params.stream = stream.handle();
  const auto call = [&] { require(ga_attention_forward(device.runtime(), &placed.params, &error), error); };
  call();  // the stream gets its scratch memory, and modules are loaded
  stream.synchronize();
  const Graph graph(stream.handle(), call);
  gatest::ErrorBalance balance;
  for (int n = 0; n < 4; ++n) {
    gatest::Instance instance(step(c, n));
    const gatest::Reference reference = gatest::reference_forward(instance.params);
    placed.upload(instance);
    graph.launch();
    stream.synchronize();
    std::string failure = placed.download(instance);
    if (failure.empty()) failure = gatest::compare(instance, reference, &balance);
    if (failure.empty()) failure = instance.untouched_elsewhere();
    if (!failure.empty())
      return tally.failed("graph", Tally::family_of(plan.kernel),
                          "replay " + std::to_string(n) + ": " + failure + "\n  " + gatest::describe(step(c, n)));
  }
  tally.held("graph", Tally::family_of(plan.kernel), balance);
}

}  // namespace

bool check_graphs(const Device &device, const Scope &scope, Tally &tally) {
  const Driver driver;
  if (driver.absent()) {
    tally.refused("graph", std::string("not checked: ") + driver.absent());
    return true;
  }
  for (const ga_dtype dtype : {GA_BF16, GA_F16, GA_F32})
    for (const bool decode : {false, true})
      for (const int32_t head_dim : {64, 128, 256}) {
        const gatest::Case c = graph_case(dtype, head_dim, decode);
        const auto action = [&] { check_graph(device, c, scope, tally); };
        if (!guarded(device, tally, "graph", gatest::describe(step(c, 0)), action)) return false;
      }
  return true;
}

}  // namespace gpu_check
