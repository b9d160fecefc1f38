// When the library asks Linux for the tile registers of AMX. A process gets them once and for all, and lists of instruction sets ask
// for them: so this is a program of its own, which holds no tests that are made for each instruction set.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "instance.h"
#include "runtime.h"
#include "shapes.h"

namespace gatest {
namespace {

constexpr uint64_t kTileData = uint64_t{1} << 18;
constexpr long kOffered = 0x1021, kGranted = 0x1022;  // ARCH_GET_XCOMP_SUPP, ARCH_GET_XCOMP_PERM

// Sets of registers that the kernel has for this process; 0 where it knows no such question.
uint64_t registers(long question) {
  uint64_t sets = 0;
  return syscall(SYS_arch_prctl, question, &sets) == 0 ? sets : 0;
}

// Each in a process of its own.
class Tiles : public testing::Test {
 protected:
  void SetUp() override {
    if ((registers(kOffered) & kTileData) == 0) GTEST_SKIP() << "processor or kernel has no AMX tile registers";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    unsetenv("GA_MAX_ISA");
  }

  static void call(const Runtime &runtime) {
    const Instance instance(shaped_case(shapes()[0], GA_BF16));
    require(ga_attention_forward(runtime.handle(), &instance.params, nullptr) == GA_OK, "a call fails");
  }
  static void require(bool holds, const char *what) {
    if (holds) return;
    std::fprintf(stderr, "FAILED: %s\n", what);
    std::_Exit(1);
  }
};

TEST_F(Tiles, AreNotAskedForUnderALowerCap) {
  const auto finish = [] {
    const uint64_t before = registers(kGranted);
    require((before & kTileData) == 0, "granted from the start");
    call(Runtime(2, GA_ISA_AVX512_BF16));
    require(registers(kGranted) == before, "max_isa: granted registers have changed");
    setenv("GA_MAX_ISA", "avx512_bf16", 1);
    call(Runtime(2));
    require(registers(kGranted) == before, "GA_MAX_ISA: granted registers have changed");
    for (ga_isa isa = 0; isa <= GA_ISA_AVX512_BF16; ++isa) ga_isa_unavailable(isa);
    require(registers(kGranted) == before, "ga_isa_unavailable: granted registers have changed");
    std::_Exit(0);
  };
  EXPECT_EXIT(finish(), testing::ExitedWithCode(0), "");
}

TEST_F(Tiles, AreAskedForByARuntimeThatMayUseThem) {
  const auto finish = [] {
    const uint64_t before = registers(kGranted);
    const Runtime runtime(2);
    const bool uses = runtime.query().isa == GA_ISA_AMX_BF16;
    require(uses == (ga_isa_unavailable(GA_ISA_AMX_BF16) == nullptr), "it does not use what is available");
    require(!uses || registers(kGranted) == (before | kTileData), "other registers are granted than those of tiles");
    call(runtime);
    std::_Exit(0);
  };
  EXPECT_EXIT(finish(), testing::ExitedWithCode(0), "");
}

// The kernel refuses tiles to a process whose signal stack could not hold them; the next best instruction set is used.
TEST_F(Tiles, AreDoneWithoutWhereASignalStackIsTooSmall) {
  const auto finish = [] {
    static char memory[4096];
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = sizeof memory;
    require(sigaltstack(&stack, nullptr) == 0, "no signal stack can be set");
    const uint64_t before = registers(kGranted);
    const Runtime runtime(2);
    require(runtime.query().isa == GA_ISA_AVX512,
            "tiles are used, or products of pairs, which are slow where there are tiles");
    const char *reason = ga_isa_unavailable(GA_ISA_AMX_BF16);
    require(reason != nullptr, "tiles are called available");
    require(registers(kGranted) == before, "granted registers have changed");
    call(runtime);
    std::fputs(reason, stderr);
    std::_Exit(0);
  };
  EXPECT_EXIT(finish(), testing::ExitedWithCode(0), "the operating system|the processor has no");
}

}  // namespace
}  // namespace gatest
