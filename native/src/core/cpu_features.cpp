#include "core/cpu_features.h"

#include <cstdint>

#include "core/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ga {
namespace {

constexpr const char *kNames[GA_ISA_COUNT] = {"scalar", "neon", "avx2", "avx512", "avx512_bf16", "amx_bf16"};

#if defined(__x86_64__)

struct Registers {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);  // zeros when the leaf does not exist
  return r;
}

// The register state that the operating system saves (XCR0).
uint64_t saved_state() {
  uint32_t low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t{high} << 32 | low;
}

bool has(uint32_t word, int bit) { return word >> bit & 1; }

// Tile registers are large: Linux (5.16 or later) saves them for those processes alone that ask. All later threads may use them too.
bool granted_tiles() {
  constexpr long kAsk = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kAsk, kTileData) == 0;
}

bool made_by(const char (&vendor)[13]) {
  const Registers r = cpuid(0, 0);
  const uint32_t name[] = {r.b, r.d, r.c};
  return __builtin_memcmp(name, vendor, sizeof name) == 0;
}

// Intel's processors multiply pairs of bf16 (vdpbf16ps) at half the rate of f32: it is faster to widen them.
bool multiplies_pairs_slowly() { return made_by("GenuineIntel"); }

// As AMD counts them: 25 is Zen 3 and 4, 26 is Zen 5.
uint32_t family() {
  const uint32_t a = cpuid(1, 0).a, base = a >> 8 & 0xf;
  return base == 0xf ? base + (a >> 20 & 0xff) : base;
}

const char *missing(ga_isa isa) {
  if (isa == GA_ISA_SCALAR) return nullptr;
  if (isa == GA_ISA_NEON) return "needs a 64-bit Arm processor";
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = cpuid(7, 1);
  if (!has(one.c, 27)) return "the operating system does not enable extended registers (no OSXSAVE)";
  const uint64_t state = saved_state();
  if ((state & 0x6) != 0x6) return "the operating system does not save AVX registers";
  if (!has(one.c, 28) || !has(seven.b, 5)) return "the processor has no AVX2";
  if (!has(one.c, 12)) return "the processor has no FMA";
  if (!has(one.c, 29)) return "the processor has no F16C";
  if (isa == GA_ISA_AVX2) return nullptr;
  if (!has(seven.b, 16)) return "the processor has no AVX-512 F";
  if (!has(seven.b, 17) || !has(seven.b, 30) || !has(seven.b, 31)) return "the processor has no AVX-512 BW, DQ or VL";
  if ((state & 0xe6) != 0xe6) return "the operating system does not save AVX-512 registers";
  if (isa == GA_ISA_AVX512) return nullptr;
  if (!has(seven_one.a, 5)) return "the processor has no AVX-512 BF16";
  if (!has(seven.c, 1)) return "the processor has no AVX-512 VBMI";
  if (isa == GA_ISA_AVX512_BF16) return nullptr;
  if (!has(seven.d, 24) || !has(seven.d, 22)) return "the processor has no AMX BF16";
  if ((state & 0x60000) != 0x60000) return "the operating system does not save AMX registers";
  if (!granted_tiles()) return "the operating system does not let this process use AMX registers";
  return nullptr;
}

#elif defined(__aarch64__)

bool multiplies_pairs_slowly() { return false; }

const char *missing(ga_isa isa) {
  return isa == GA_ISA_SCALAR || isa == GA_ISA_NEON ? nullptr : "needs an x86-64 processor";
}

#else

bool multiplies_pairs_slowly() { return false; }

const char *missing(ga_isa isa) { return isa == GA_ISA_SCALAR ? nullptr : "this build holds scalar code only"; }

#endif

}  // namespace

const char *isa_name(ga_isa isa) { return isa >= 0 && isa < GA_ISA_COUNT ? kNames[isa] : nullptr; }

const char *isa_unavailable(ga_isa isa) {
  if (!isa_name(isa)) return "no such instruction set";
  if (const char *reason = missing(isa)) return reason;
  return kernels_for(isa, false) ? nullptr : "this build does not hold it";
}

ga_isa best_isa(ga_isa cap) {
  for (ga_isa isa = GA_ISA_COUNT - 1; isa > GA_ISA_SCALAR; isa--) {
    const bool passed_over = isa == GA_ISA_AVX512_BF16 && isa < cap && multiplies_pairs_slowly();
    if (isa <= cap && !passed_over && !isa_unavailable(isa)) return isa;
  }
  return GA_ISA_SCALAR;
}

bool fetches_to_first_cache() {
#if defined(__x86_64__)
  return made_by("AuthenticAMD") && family() >= 26;
#else
  return true;
#endif
}

}  // namespace ga
