// Products of one warpgroup (wgmma, compute capability 9.0a): d [64 x N] (+)= A [64 x 16] B [16 x N], f32 sums.
//
// Thread t of the warpgroup holds, with g = 16 (t / 32) + (t % 32) / 4 and c = 2 (t % 4), in d[4 i ..] the elements
// [g][8 i + c], [g][8 i + c + 1], [g + 8][8 i + c], [g + 8][8 i + c + 1]. A in registers: as in mma (sm80.cuh), rows of a warp.
// A and B are read from shared memory, and d is written, between the issue and the wait: nobody may touch them in between.
#pragma once

#include "cuda/ptx/sm90.cuh"

namespace ga::cuda {

// Before the first product that uses registers which other instructions wrote.
GA_DEVICE void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
GA_DEVICE void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// All but the last N groups are done.
template <int N>
GA_DEVICE void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
}
// After a wait: the compiler must not have read d before it.
template <int R>
GA_DEVICE void wgmma_results(float (&d)[R]) {
  GA_UNROLL for (int i = 0; i < R; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

// A swizzled operand in shared memory: rows of Swizzle bytes (128 or 64) in groups of 8 rows, group_bytes from one to the
// next. A transposed operand (N along the rows) has more than one such column of groups: chunk_bytes apart.
template <int Swizzle>
GA_DEVICE uint64_t wgmma_operand(uint32_t address, uint32_t chunk_bytes) {
  static_assert(Swizzle == 128 || Swizzle == 64);
  constexpr uint32_t group_bytes = 8 * Swizzle;
  return static_cast<uint64_t>((address & 0x3ffff) >> 4) | static_cast<uint64_t>(chunk_bytes >> 4) << 16 |
         static_cast<uint64_t>(group_bytes >> 4) << 32 | (Swizzle == 128 ? 1ULL : 2ULL) << 62;
}

// The operands of an instruction are numbered: d first, which N / 2 registers each thread has.
// clang-format off
#define GA_NAMES_0 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15"
#define GA_NAMES_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GA_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define GA_NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GA_NAMES_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"
#define GA_NAMES_80 ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"
#define GA_NAMES_96 ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111"
#define GA_NAMES_112 ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define GA_NAMES_8_MORE_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define GA_NAMES_8_MORE_48 ", %48, %49, %50, %51, %52, %53, %54, %55"
#define GA_NAMES_8_MORE_80 ", %80, %81, %82, %83, %84, %85, %86, %87"
#define GA_D8(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), "+f"(d[i + 7])
#define GA_D16(i) GA_D8(i), GA_D8(i + 8)

#define GA_WGMMA_SS(N, TYPE, NAMES, A, B, ACCUMULATE, TRANSPOSED, ...)                                                   \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ACCUMULATE ", 0;\n"                                                  \
               "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" NAMES "}, " A ", " B                \
               ", p, 1, 1, 0, " TRANSPOSED ";\n}"                                                                       \
               : __VA_ARGS__                                                                                            \
               : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(TransposeB ? 1 : 0))
#define GA_WGMMA_RS(N, TYPE, NAMES, A, B, ACCUMULATE, TRANSPOSED, ...)                                                   \
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, " ACCUMULATE ", 0;\n"                                                  \
               "wgmma.mma_async.sync.aligned.m64n" #N "k16.f32." TYPE "." TYPE " {" NAMES "}, {" A "}, " B              \
               ", p, 1, 1, " TRANSPOSED ";\n}"                                                                          \
               : __VA_ARGS__                                                                                            \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)),                 \
                 "n"(TransposeB ? 1 : 0))
// N, then the numbers of the operands after d: of a and b in shared memory, and of a in registers.
#define GA_WGMMA_SHAPE(N, NAMES, D, A, B, C, E, F, G, H)                                                                 \
  template <typename T, bool TransposeB>                                                                                \
  struct Wgmma<T, N, TransposeB> {                                                                                      \
    static GA_DEVICE void shared_shared(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {                   \
      if constexpr (std::is_same_v<T, bf16>) GA_WGMMA_SS(N, "bf16", NAMES, A, B, C, E, D);                              \
      else GA_WGMMA_SS(N, "f16", NAMES, A, B, C, E, D);                                                                 \
    }                                                                                                                   \
    static GA_DEVICE void registers_shared(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate) {    \
      if constexpr (std::is_same_v<T, bf16>) GA_WGMMA_RS(N, "bf16", NAMES, A ", " B ", " C ", " E, F, G, H, D);         \
      else GA_WGMMA_RS(N, "f16", NAMES, A ", " B ", " C ", " E, F, G, H, D);                                            \
    }                                                                                                                   \
  };

template <typename T, int N, bool TransposeB>
struct Wgmma;

#define GA_LIST(...) __VA_ARGS__
GA_WGMMA_SHAPE(64, GA_NAMES_0 GA_NAMES_16, GA_LIST(GA_D16(0), GA_D16(16)), "%32", "%33", "%34", "%35", "%36", "%37", "%38")
GA_WGMMA_SHAPE(80, GA_NAMES_0 GA_NAMES_16 GA_NAMES_8_MORE_32, GA_LIST(GA_D16(0), GA_D16(16), GA_D8(32)), "%40", "%41", "%42", "%43", "%44", "%45", "%46")
GA_WGMMA_SHAPE(96, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32)), "%48", "%49", "%50", "%51", "%52", "%53", "%54")
GA_WGMMA_SHAPE(112, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_8_MORE_48, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D8(48)), "%56", "%57", "%58", "%59", "%60", "%61", "%62")
GA_WGMMA_SHAPE(128, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_48, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D16(48)), "%64", "%65", "%66", "%67", "%68", "%69", "%70")
GA_WGMMA_SHAPE(160, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_48 GA_NAMES_64, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D16(48), GA_D16(64)), "%80", "%81", "%82", "%83", "%84", "%85", "%86")
GA_WGMMA_SHAPE(176, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_48 GA_NAMES_64 GA_NAMES_8_MORE_80, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D16(48), GA_D16(64), GA_D8(80)), "%88", "%89", "%90", "%91", "%92", "%93", "%94")
GA_WGMMA_SHAPE(192, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_48 GA_NAMES_64 GA_NAMES_80, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D16(48), GA_D16(64), GA_D16(80)), "%96", "%97", "%98", "%99", "%100", "%101", "%102")
GA_WGMMA_SHAPE(256, GA_NAMES_0 GA_NAMES_16 GA_NAMES_32 GA_NAMES_48 GA_NAMES_64 GA_NAMES_80 GA_NAMES_96 GA_NAMES_112, GA_LIST(GA_D16(0), GA_D16(16), GA_D16(32), GA_D16(48), GA_D16(64), GA_D16(80), GA_D16(96), GA_D16(112)), "%128", "%129", "%130", "%131", "%132", "%133", "%134")
// clang-format on

#undef GA_LIST
#undef GA_WGMMA_SHAPE
#undef GA_WGMMA_RS
#undef GA_WGMMA_SS
#undef GA_D16
#undef GA_D8

}  // namespace ga::cuda
