#include "machine_limits.h"

#include <sched.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace ga::bench {
namespace {

constexpr int kRuns = 3;

void pin(int processor) {
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor % static_cast<int>(std::thread::hardware_concurrency()), &set);
  sched_setaffinity(0, sizeof set, &set);
#endif
}

double best_of_runs(int threads, const std::function<double(int)> &work) {
  double best = 0;
  for (int i = 0; i < kRuns; i++) best = std::max(best, rate(threads, work));
  return best;
}

volatile float sink;

#if defined(__x86_64__)

constexpr long kLoops = 4'000'000;

// 24 independent chains: more than latency times throughput of any x86 processor.
__attribute__((target("avx512f"))) double fma_avx512() {
  __m512 a[24];
  for (int i = 0; i < 24; i++) a[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 x = _mm512_set1_ps(0.9999f), y = _mm512_set1_ps(1e-6f);
  for (long n = 0; n < kLoops; n++) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; j++) a[j] = _mm512_fmadd_ps(a[j], x, y);
    __asm__ volatile("" : "+v"(x), "+v"(y));
  }
  for (int j = 1; j < 24; j++) a[0] = _mm512_add_ps(a[0], a[j]);
  sink = _mm512_reduce_add_ps(a[0]);
  return static_cast<double>(kLoops) * 24 * 32;
}

__attribute__((target("avx2,fma"))) double fma_avx2() {
  __m256 a[12];
  for (int i = 0; i < 12; i++) a[i] = _mm256_set1_ps(static_cast<float>(i));
  __m256 x = _mm256_set1_ps(0.9999f), y = _mm256_set1_ps(1e-6f);
  for (long n = 0; n < kLoops; n++) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; j++) a[j] = _mm256_fmadd_ps(a[j], x, y);
    __asm__ volatile("" : "+x"(x), "+x"(y));
  }
  for (int j = 1; j < 12; j++) a[0] = _mm256_add_ps(a[0], a[j]);
  sink = _mm256_cvtss_f32(a[0]);
  return static_cast<double>(kLoops) * 12 * 16;
}

__attribute__((target("avx512f,avx512bf16"))) double dot_avx512(int) {
  __m512 a[24];
  for (int i = 0; i < 24; i++) a[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512i x = _mm512_set1_epi16(0x3f80), y = _mm512_set1_epi16(0x3680);
  for (long n = 0; n < kLoops; n++) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; j++)
      a[j] = _mm512_dpbf16_ps(a[j], reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(y));
    __asm__ volatile("" : "+v"(x), "+v"(y));
  }
  for (int j = 1; j < 24; j++) a[0] = _mm512_add_ps(a[0], a[j]);
  sink = _mm512_reduce_add_ps(a[0]);
  return static_cast<double>(kLoops) * 24 * 64;
}

// Four chains of tile products: more than latency times throughput. Operands stay in their registers.
__attribute__((target("amx-tile,amx-bf16"))) double tiles_amx(int) {
  constexpr long loops = 1'000'000;
  alignas(64) struct {
    uint8_t palette = 1, start = 0, unused[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  } shape;
  alignas(64) static const char zeros[1024] = {};
  __asm__ volatile("" : : "r"(&shape) : "memory");  // the intrinsic says that it reads the first bytes alone
  _tile_loadconfig(&shape);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, zeros, 64);
  _tile_loadd(5, zeros, 64);
  _tile_loadd(6, zeros, 64);
  _tile_loadd(7, zeros, 64);
  for (long n = 0; n < loops; n++) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return static_cast<double>(loops) * 4 * 16 * 16 * 64;
}

struct Features {
  uint32_t a = 0, b = 0, c = 0, d = 0;
};

Features leaf_seven(uint32_t subleaf) {
  Features r{7, 0, subleaf, 0};
  __asm__("cpuid" : "+a"(r.a), "=b"(r.b), "+c"(r.c), "=d"(r.d));
  return r;
}

bool has_bf16() { return __builtin_cpu_supports("avx512f") && (leaf_seven(1).a >> 5 & 1); }

// Linux saves tile registers for those processes alone that ask: arch_prctl(ARCH_REQ_XCOMP_PERM, tile data).
bool has_tiles() {
  const uint32_t d = leaf_seven(0).d;
  return has_bf16() && (d >> 22 & 1) && (d >> 24 & 1) && syscall(SYS_arch_prctl, 0x1023L, 18L) == 0;
}

#elif defined(__aarch64__)

double fma_neon() {
  constexpr long loops = 4'000'000;
  float32x4_t a[24];
  for (int i = 0; i < 24; i++) a[i] = vdupq_n_f32(static_cast<float>(i));
  float32x4_t x = vdupq_n_f32(0.9999f), y = vdupq_n_f32(1e-6f);
  for (long n = 0; n < loops; n++) {
#pragma GCC unroll 24
    for (int j = 0; j < 24; j++) a[j] = vfmaq_f32(y, a[j], x);
    __asm__ volatile("" : "+w"(x), "+w"(y));
  }
  for (int j = 1; j < 24; j++) a[0] = vaddq_f32(a[0], a[j]);
  sink = vgetq_lane_f32(a[0], 0);
  return static_cast<double>(loops) * 24 * 8;
}

#endif

// 64-byte vectors of the compiler, mapped to whatever the target has: reading is bound by memory, not by instructions.
typedef int64_t Line __attribute__((vector_size(64)));

#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
int64_t
read_lines(const char *from, int64_t bytes, bool ahead) {
  Line sum[4] = {};
  const Line *line = reinterpret_cast<const Line *>(from);
  for (int64_t i = 0; i < bytes / 64; i += 4) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) sum[j] |= line[i + j];  // unrolled, or the sums lie in memory
    if (!ahead) continue;
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) __builtin_prefetch(&line[i + j + 64]);
  }
  return (sum[0] | sum[1] | sum[2] | sum[3])[0];
}

// On large pages, as tensors of the Java API are: the rate does not end at the translation of addresses.
struct Memory {
  explicit Memory(int64_t bytes)
      : data(static_cast<char *>(std::aligned_alloc(1 << 21, static_cast<size_t>((bytes + (1 << 21) - 1) >> 21 << 21)))) {
#if defined(__linux__)
    madvise(data, static_cast<size_t>((bytes + (1 << 21) - 1) >> 21 << 21), MADV_HUGEPAGE);
#endif
    std::memset(data, 1, static_cast<size_t>(bytes));
  }
  ~Memory() { std::free(data); }
  char *data;
};

double read_rate(int threads, int64_t bytes_each, int repeats, bool ahead) {
  const Memory memory(bytes_each * threads);
  return best_of_runs(threads, [&](int thread) {
    for (int r = 0; r < repeats; r++)
      sink = static_cast<float>(read_lines(memory.data + thread * bytes_each, bytes_each, ahead));
    return static_cast<double>(bytes_each) * repeats;
  });
}

}  // namespace

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double rate(int threads, const std::function<double(int)> &work) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<double> done(static_cast<size_t>(threads));
  std::vector<std::thread> pool;
  pool.reserve(static_cast<size_t>(threads));
  for (int t = 0; t < threads; t++)
    pool.emplace_back([&, t] {
      pin(t);
      ready++;
      while (!go) {
      }
      done[static_cast<size_t>(t)] = work(t);
    });
  while (ready < threads) std::this_thread::yield();
  const double start = now_seconds();
  go = true;
  for (std::thread &t : pool) t.join();
  const double seconds = now_seconds() - start;
  double sum = 0;
  for (const double d : done) sum += d;
  return sum / seconds;
}

double fma_f32(int threads) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return best_of_runs(threads, [](int) { return fma_avx512(); });
  if (__builtin_cpu_supports("fma")) return best_of_runs(threads, [](int) { return fma_avx2(); });
  return 0;
#elif defined(__aarch64__)
  return best_of_runs(threads, [](int) { return fma_neon(); });
#else
  return 0;
#endif
}

double dot_bf16(int threads) {
#if defined(__x86_64__)
  if (has_bf16()) return best_of_runs(threads, dot_avx512);
#endif
  (void)threads;
  return 0;
}

double amx_bf16(int threads) {
#if defined(__x86_64__)
  if (has_tiles()) return best_of_runs(threads, tiles_amx);
#endif
  (void)threads;
  return 0;
}

double read_dram(int threads) {
  const double plain = read_rate(threads, int64_t{256} << 20, 1, false),
               ahead = read_rate(threads, int64_t{256} << 20, 1, true);
  return plain > ahead ? plain : ahead;
}
double read_l3(int threads) { return read_rate(threads, int64_t{4} << 20, 64, false); }
double read_l2(int threads) { return read_rate(threads, int64_t{512} << 10, 1024, false); }

double read_bytes(int threads, int64_t bytes) {
  constexpr int64_t step = 4 * 64, least = int64_t{128} << 20;  // least: about a millisecond's worth and more
  const int64_t each = (bytes / threads + step - 1) / step * step;
  const int repeats = static_cast<int>(least / each / threads) + 1;
  const double plain = read_rate(threads, each, repeats, false), ahead = read_rate(threads, each, repeats, true);
  return plain > ahead ? plain : ahead;
}

}  // namespace ga::bench
