// Loading the library and calling it leave the process as it was: floating-point mode, signals, affinity, locale, directory.
// What the library asks the kernel for is in tiles_test.cpp.

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cfenv>
#include <chrono>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "instance.h"
#include "runtime.h"
#include "shapes.h"

namespace gatest {
namespace {

uint64_t floating_point_control() {
#if defined(__x86_64__)
  uint16_t x87 = 0;
  __asm__ volatile("fnstcw %0" : "=m"(x87));
  // Without the sticky flags of exceptions that happened.
  return (_mm_getcsr() & ~uint32_t{_MM_EXCEPT_MASK}) | uint64_t{x87} << 32;
#elif defined(__aarch64__)
  uint64_t control = 0;
  __asm__ volatile("mrs %0, fpcr" : "=r"(control)::"memory");
  return control;
#endif
}

void set_floating_point_control(uint64_t control) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<uint32_t>(control));
#elif defined(__aarch64__)
  __asm__ volatile("msr fpcr, %0" : : "r"(control) : "memory");
#endif
}

struct ProcessState {
  uint64_t floating_point = floating_point_control();
  std::string locale = setlocale(LC_ALL, nullptr);
  std::string directory = std::filesystem::current_path().string();
  std::array<struct sigaction, 65> actions{};
  sigset_t blocked{};
  cpu_set_t affinity{};

  ProcessState() {
    std::memset(&blocked, 0, sizeof blocked);
    for (int number = 1; number <= 64; ++number) sigaction(number, nullptr, &actions[static_cast<size_t>(number)]);
    pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    sched_getaffinity(0, sizeof affinity, &affinity);
  }
};

void expect_equal(const ProcessState &now, const ProcessState &before) {
  EXPECT_EQ(now.floating_point, before.floating_point);
  EXPECT_EQ(now.locale, before.locale);
  EXPECT_EQ(now.directory, before.directory);
  for (size_t number = 1; number <= 64; ++number) {
    EXPECT_EQ(now.actions[number].sa_handler, before.actions[number].sa_handler) << "signal " << number;
    EXPECT_EQ(now.actions[number].sa_flags, before.actions[number].sa_flags) << "signal " << number;
  }
  for (int number = 1; number <= 64; ++number) {
    EXPECT_EQ(sigismember(&now.blocked, number), sigismember(&before.blocked, number)) << "signal " << number;
  }
  EXPECT_NE(CPU_EQUAL(&now.affinity, &before.affinity), 0);
}

void call_everything() {
  const Runtime runtime(3);
  for (const Shape &shape : shapes()) {
    for (const ga_dtype dtype : kFloatTypes) {
      const Instance instance(shaped_case(shape, dtype));
      EXPECT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
    }
  }
  EXPECT_NE(ga_attention_forward(runtime.handle(), nullptr, nullptr), GA_OK);
}

TEST(ProcessState, IsLeftAloneByCalls) {
  const ProcessState before;
  call_everything();
  expect_equal(ProcessState(), before);
}

TEST(ProcessState, KeepsTheCallersFloatingPointMode) {
  const uint64_t usual = floating_point_control();
#if defined(__x86_64__)
  constexpr uint64_t kUnusual = 0xffc0;  // flush to zero, denormals are zero, round toward zero, all exceptions masked
#else
  constexpr uint64_t kUnusual = uint64_t{1} << 24;  // flush to zero
#endif
  set_floating_point_control(kUnusual);
  const uint64_t before = floating_point_control();
  const Instance instance(shaped_case(shapes()[0], GA_F32));
  ga_status status = GA_INTERNAL;
  {
    const Runtime runtime(2);
    status = ga_attention_forward(runtime.handle(), &instance.params, nullptr);
  }
  const uint64_t after = floating_point_control();
  set_floating_point_control(usual & 0xffffffffU);
  EXPECT_EQ(status, GA_OK);
  EXPECT_EQ(after, before);
}

std::string path_of_library() {
  Dl_info info{};
  EXPECT_NE(dladdr(reinterpret_cast<void *>(&ga_abi_version), &info), 0);
  return info.dli_fname;
}

// A copy of the file is another library to the dynamic linker: its constructors run now, its destructors at dlclose.
TEST(ProcessState, IsLeftAloneByLoadingAndUnloading) {
  const std::filesystem::path copy =
      std::filesystem::temp_directory_path() / ("libgatedattention-copy-" + std::to_string(getpid()) + ".so");
  std::filesystem::copy_file(path_of_library(), copy);
  const ProcessState before;
  void *library = dlopen(copy.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(library, nullptr) << dlerror();
  expect_equal(ProcessState(), before);
  const auto version = reinterpret_cast<int32_t (*)()>(dlsym(library, "ga_abi_version"));
  ASSERT_NE(version, nullptr);
  EXPECT_NE(reinterpret_cast<void *>(version), reinterpret_cast<void *>(&ga_abi_version));
  EXPECT_EQ(version(), GA_ABI_VERSION);
  dlclose(library);
  expect_equal(ProcessState(), before);
  std::filesystem::remove(copy);
}

int64_t threads_of_process() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t threads = 0;
    if (word == "Threads:" && status >> threads) return threads;
  }
  return -1;
}

// A thread that was joined is still counted for a moment: the kernel wakes the joiner before it removes the thread.
bool threads_fall_to(int64_t most) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (threads_of_process() > most) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

int64_t open_files() {
  int64_t files = 0;
  for (const auto &entry : std::filesystem::directory_iterator("/proc/self/fd")) files += entry.exists() ? 1 : 1;
  return files;
}

TEST(ProcessState, HoldsNoThreadsOrFilesAfterClose) {
  {
    const Runtime warm(2);
  }
  const int64_t threads = threads_of_process();
  const int64_t files = open_files();
  for (int n = 0; n < 20; ++n) {
    const Runtime runtime(4);
    EXPECT_TRUE(threads_fall_to(threads + 3)) << threads_of_process() << " threads, " << threads << " before";
  }
  EXPECT_TRUE(threads_fall_to(threads)) << threads_of_process() << " threads, " << threads << " before";
  EXPECT_EQ(open_files(), files);
}

// A process-wide signal must find the application's threads, not the library's.
TEST(ProcessState, WorkersBlockSignals) {
  const Runtime runtime(3);
  const Instance instance(shaped_case(shapes()[0], GA_F32));
  ASSERT_EQ(ga_attention_forward(runtime.handle(), &instance.params, nullptr), GA_OK);
  const std::string own = std::to_string(getpid());
  for (const auto &task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == own) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (line.rfind("SigBlk:", 0) != 0) continue;
      const uint64_t blocked = std::stoull(line.substr(7), nullptr, 16);
      for (const int number : {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGALRM, SIGPROF, SIGCHLD}) {
        EXPECT_NE(blocked >> (number - 1) & 1, 0U) << "signal " << number << " reaches a worker: " << line;
      }
    }
  }
}

}  // namespace
}  // namespace gatest
