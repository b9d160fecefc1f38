// A thread of the emulated GPU: runs until it waits, on a stack of its own.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace gaemu {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber &) = delete;
  Fiber &operator=(const Fiber &) = delete;

  // The next resume calls entry from its start; whatever ran here before is dropped. entry must not return.
  void start(void (*entry)(void *), void *argument);
  // From the scheduler: runs the fiber until it calls suspend.
  void resume();
  // From within the fiber: back to the scheduler.
  void suspend();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace gaemu
