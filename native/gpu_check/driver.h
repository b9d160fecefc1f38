// What the check needs of CUDA besides the library under test: events and graphs, through the driver's own entry points. They
// are looked up at run time, so that the program builds and runs where there is no CUDA.
#pragma once

#include <functional>

namespace gpu_check {

class Driver {
 public:
  // Makes the device's primary context, which the library uses too, current on this thread.
  Driver();

  // nullptr: there is a driver; else why events and graphs cannot be had.
  const char *absent() const { return absent_; }
  int l2_bytes() const { return l2_bytes_; }

 private:
  const char *absent_ = nullptr;
  int l2_bytes_ = 0;
};

// Time on the device between two points of a stream. Without a driver the host's clock, after the work between them.
class Timer {
 public:
  Timer(const Driver &driver, void *stream, std::function<void()> synchronize);
  ~Timer();
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;

  double microseconds(const std::function<void()> &enqueue);

 private:
  bool events_;
  void *stream_;
  std::function<void()> synchronize_;
  void *start_ = nullptr, *stop_ = nullptr;
};

// What was enqueued on a stream, to be launched as a whole.
class Graph {
 public:
  // Captures what enqueue does; a call in it that may not be captured is a std::runtime_error.
  Graph(void *stream, const std::function<void()> &enqueue);
  ~Graph();
  Graph(const Graph &) = delete;
  Graph &operator=(const Graph &) = delete;

  void launch() const;

 private:
  void *stream_;
  void *graph_ = nullptr, *executable_ = nullptr;
};

}  // namespace gpu_check
