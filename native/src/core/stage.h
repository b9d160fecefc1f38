// Where the time of a call goes: in a build with GA_STAGES, whose one program is native/bench/stages.cpp, each thread adds up the ticks of
// the processor's clock that pass in the scopes marked here. In every other build a mark is nothing.
#pragma once

#ifdef GA_STAGES
#include <cstdint>

namespace ga {

enum class Stage { kKeys, kQueries, kScores, kSoftmax, kValues, kRowEnds, kGradientsOfKeys, kGradientsOfQueries };
constexpr int kStages = 8;

int64_t *stage_ticks();  // of this thread, by stage

inline int64_t clock_ticks() {
#ifdef __x86_64__
  return static_cast<int64_t>(__builtin_ia32_rdtsc());
#else
  int64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

class StageClock {
 public:
  explicit StageClock(Stage stage) : stage_(stage), begin_(clock_ticks()) {}
  ~StageClock() { stage_ticks()[static_cast<int>(stage_)] += clock_ticks() - begin_; }
  StageClock(const StageClock &) = delete;
  StageClock &operator=(const StageClock &) = delete;

 private:
  const Stage stage_;
  const int64_t begin_;
};

}  // namespace ga

#define GA_STAGE(stage) const ::ga::StageClock stage_clock(::ga::Stage::stage)
#else
#define GA_STAGE(stage) static_cast<void>(0)
#endif
