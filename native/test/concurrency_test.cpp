// Many threads on one runtime and on many, created and closed at random: right results, typed errors, no data race.

#include <gtest/gtest.h>
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <climits>
#include <mutex>
#include <thread>

#include "environment.h"
#include "instance.h"
#include "random.h"
#include "runtime.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr int kThreads = 8;

// So many, fewer under an emulator.
int rounds(int many) { return small_shapes() ? many / 5 : many; }

// Small calls of every path and the outputs they must give.
struct Expected {
  Case description;
  std::vector<std::byte> out;
  std::vector<std::byte> lse;
};

std::vector<Expected> expectations() {
  const Shape small[] = {
      {"prefill", 2, 70, 70, 4, 2, 64, 64, true},
      {"decode", 2, 1, 1300, 4, 2, 64, 64, true},
      {"odd", 1, 33, 127, 3, 1, 40, 72, false},
  };
  const Runtime runtime(1);
  std::vector<Expected> all;
  for (const Shape &shape : small) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Case c = shaped_case(shape, dtype);
      const Instance instance(c);
      EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
      all.push_back({c, instance.out_bits(), instance.lse_bits()});
    }
  }
  return all;
}

// OK with the expected bits, or a refusal of the handle with nothing written. Returns whether it was OK.
bool call(ga_runtime runtime, const Expected &expected) {
  const Instance instance(expected.description);
  ga_error error{};
  const ga_status status = ga_attention_forward(runtime, &instance.params, &error);
  if (status == GA_OK) {
    EXPECT_TRUE(instance.out_bits() == expected.out && instance.lse_bits() == expected.lse)
        << describe(expected.description);
    return true;
  }
  EXPECT_EQ(status, GA_INVALID_HANDLE) << error.message;
  EXPECT_EQ(instance.untouched(), "");
  return false;
}

template <typename Work>
void on_threads(Work work) {
  std::vector<std::thread> threads;
  for (int n = 0; n < kThreads; ++n) threads.emplace_back([=] { work(n); });
  for (std::thread &thread : threads) thread.join();
}

TEST(Concurrency, OfCallsOnOneRuntime) {
  const std::vector<Expected> expected = expectations();
  for (const int32_t pool : {1, 3}) {
    const Runtime runtime(pool);
    on_threads([&](int thread) {
      for (int n = 0; n < rounds(30); ++n)
        EXPECT_TRUE(call(runtime.handle(), expected[static_cast<size_t>(thread + n) % expected.size()]));
    });
  }
}

TEST(Concurrency, OfCallsOnManyRuntimes) {
  const std::vector<Expected> expected = expectations();
  on_threads([&](int thread) {
    for (int n = 0; n < rounds(10); ++n) {
      const Runtime runtime(1 + (thread + n) % 4);
      for (const Expected &one : expected) EXPECT_TRUE(call(runtime.handle(), one));
    }
  });
}

// A few shared places hold runtimes; each thread calls, queries, replaces or closes what it finds there.
TEST(Concurrency, OfCallsAndClosesAtRandom) {
  const std::vector<Expected> expected = expectations();
  std::array<std::atomic<ga_runtime>, 3> places{};
  std::atomic<int> succeeded{0};
  on_threads([&](int thread) {
    Random random(static_cast<uint64_t>(thread) + 5);
    for (int n = 0; n < rounds(150); ++n) {
      std::atomic<ga_runtime> &place = places[static_cast<size_t>(random.below(3))];
      const int64_t action = random.below(10);
      if (action == 0) {
        const ga_runtime_options options = cpu_options(static_cast<int32_t>(random.between(1, 4)));
        ga_runtime created = 0;
        ASSERT_EQ(ga_runtime_create(&options, &created, nullptr), GA_OK);
        const ga_runtime replaced = place.exchange(created);
        if (replaced != 0) ga_runtime_close(replaced, nullptr);
      } else if (action == 1) {
        ga_runtime_close(place.load(), nullptr);
      } else if (action == 2) {
        ga_runtime_info info{};
        info.struct_size = sizeof info;
        const ga_status status = ga_runtime_query(place.load(), &info, nullptr);
        EXPECT_TRUE(status == GA_OK || status == GA_INVALID_HANDLE);
      } else if (call(place.load(), expected[static_cast<size_t>(random.next() % expected.size())])) {
        ++succeeded;
      }
    }
  });
  EXPECT_GT(succeeded, 0);
  for (const std::atomic<ga_runtime> &place : places) ga_runtime_close(place.load(), nullptr);
}

// Frames stay small, so that a call fits what is left of any caller's stack.
TEST(Stack, OfSixtyFourKilobytesIsEnough) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kStack = 1 << 20;
#else
  constexpr size_t kStack = 64 << 10;
#endif
  struct Job {
    const Runtime runtime{2};
    std::vector<Instance> instances;
    std::vector<ga_status> statuses;
  } job;
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) job.instances.emplace_back(shaped_case(shape, dtype));
  }
  announce_case("calls on a thread with a small stack");
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  // The system's own minimum is larger on arm64.
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, std::max(kStack, static_cast<size_t>(PTHREAD_STACK_MIN))), 0);
  pthread_t thread{};
  const auto run = [](void *argument) -> void * {
    Job &it = *static_cast<Job *>(argument);
    for (const Instance &instance : it.instances) {
      it.statuses.push_back(ga_attention_forward(it.runtime.handle(), &instance.params, nullptr));
    }
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &job), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
  EXPECT_EQ(job.statuses, std::vector<ga_status>(job.instances.size(), GA_OK));
}

}  // namespace
}  // namespace gatest
