// The emulator itself: each primitive does what the GPU's does, and each kind of mistake in its use is seen.

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "cuda/ptx/wgmma.cuh"

namespace gatest {
namespace {

using namespace ga::cuda;
using gaemu::Asynchronous;
using gaemu::Blocks;
using gaemu::Fault;
using gaemu::Options;

constexpr Asynchronous kSchedules[] = {Asynchronous::kEager, Asynchronous::kRandom, Asynchronous::kLate};

float small_number(int i) { return static_cast<float>(i * 37 % 23 - 11) / 8; }

TEST(Emulator, ShufflesAndVotes) {
  std::vector<int> xored(64), up(64), down(64), from(64);
  std::vector<uint32_t> votes(64);
  EXPECT_EQ("", gaemu::launch(1, 64, 0, [&] {
              const auto t = static_cast<size_t>(thread_index());
              const int mine = thread_index() * 10;
              xored[t] = shuffle_xor(mine, 5);
              up[t] = shuffle_up(mine, 3);
              down[t] = shuffle_down(mine, 30);
              from[t] = shuffle(mine, 7);
              votes[t] = ballot(lane_index() % 3 == 0);
            }));
  for (int t = 0; t < 64; ++t) {
    const auto i = static_cast<size_t>(t);
    const int lane = t % 32, first = t - lane;
    EXPECT_EQ(xored[i], 10 * (first + (lane ^ 5)));
    EXPECT_EQ(up[i], 10 * (lane < 3 ? t : t - 3));
    EXPECT_EQ(down[i], 10 * (lane < 2 ? t + 30 : t));
    EXPECT_EQ(from[i], 10 * (first + 7));
    EXPECT_EQ(votes[i], 0x49249249U);
  }
}

TEST(Emulator, NumbersRoundAsTheGpuDoes) {
  EXPECT_EQ(pack<ga::bf16>(1, -2), 0xc0003f80U);
  EXPECT_EQ(pack<ga::f16>(1, 70000), 0x7c003c00U);
  EXPECT_EQ(unpack<ga::f16>(0x00010000U).hi, 0x1p-24F);
  EXPECT_EQ(to_tf32(1 + 0x1p-11F), bits_of(1 + 0x1p-10F));
  EXPECT_EQ(ex2(-200), 0.F);
  EXPECT_EQ(ex2(-INFINITY), 0.F);
}

// C [16 x 8] = A [16 x 16] B [16 x 8], operands through shared memory as kernels take them.
TEST(Emulator, ProductsOfAWarp) {
  std::vector<float> c(16 * 8), c32(16 * 8);
  EXPECT_EQ("", gaemu::launch(1, 32, 1024, [&] {
              const int lane = lane_index(), g = lane / 4, t = lane % 4;
              auto *a = reinterpret_cast<ga::bf16 *>(shared_memory());  // [16][16], then b [16][8] as [2][8][8]
              for (int i = lane; i < 256; i += 32) a[i] = from_float<ga::bf16>(small_number(i));
              for (int i = lane; i < 128; i += 32) a[256 + i] = from_float<ga::bf16>(small_number(3 * i + 1));
              sync_warp();
              uint32_t fa[4], fb[4];
              load_matrix(fa, static_cast<uint32_t>((lane % 16 * 16 + lane / 16 * 8) * 2));
              load_matrix_transposed(fb, static_cast<uint32_t>(512 + lane % 16 * 16));
              float acc[4] = {1, 1, 1, 1}, acc32[4] = {};
              mma<ga::bf16>(acc, fa, fb[0], fb[1]);
              const auto x = [&](int row, int k) { return to_tf32(to_float(a[row * 16 + k])); };
              const auto y = [&](int k, int n) { return to_tf32(to_float(a[256 + k * 8 + n])); };
              for (int k = 0; k < 16; k += 8)
                mma_tf32(acc32, {x(g, k + t), x(g + 8, k + t), x(g, k + t + 4), x(g + 8, k + t + 4)}, y(k + t, g),
                         y(k + t + 4, g));
              for (int i = 0; i < 4; ++i) {
                const auto at = static_cast<size_t>((g + (i & 2) * 4) * 8 + 2 * t + (i & 1));
                c[at] = acc[i];
                c32[at] = acc32[i];
              }
            }));
  for (int row = 0; row < 16; ++row) {
    for (int n = 0; n < 8; ++n) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) sum += small_number(row * 16 + k) * small_number(3 * (k * 8 + n) + 1);
      EXPECT_FLOAT_EQ(c[static_cast<size_t>(row * 8 + n)], 1 + sum);
      EXPECT_FLOAT_EQ(c32[static_cast<size_t>(row * 8 + n)], sum);
    }
  }
}

// Sums what another thread copied to shared memory.
std::string copied_sum(const Options &options, float &sum, bool wait = true, bool barrier = true) {
  alignas(16) static float source[256];
  std::iota(source, source + 256, 0.F);
  sum = 0;
  return gaemu::launch(
      1, 64, 1024,
      [&, wait, barrier] {
        const int t = thread_index();
        copy_async16(static_cast<uint32_t>(16 * t), source + 4 * t, t < 60);
        copy_async_commit();
        if (wait) copy_async_wait<0>();
        if (barrier) sync_threads();
        const Words4 w = load_shared(static_cast<uint32_t>(16 * (63 - t)));
        float mine = 0;
        for (const uint32_t u : w.x) mine += float_of(u);
        atomic_add(&sum, mine);
      },
      options);
}

TEST(Emulator, CopiesLandWhenTheyAreWaitedFor) {
  for (const Asynchronous schedule : kSchedules) {
    Options options;
    options.asynchronous = schedule;
    float sum = 0;
    EXPECT_EQ("", copied_sum(options, sum));
    EXPECT_EQ(sum, 240 * 239 / 2);
  }
  Options late;
  late.asynchronous = Asynchronous::kLate;
  float sum = 0;
  copied_sum(late, sum, false);
  EXPECT_TRUE(std::isnan(sum)) << "a missing wait";
  copied_sum({}, sum, true, false);
  EXPECT_TRUE(std::isnan(sum)) << "a missing barrier";
  for (const Fault fault : {Fault::kNoCopyWait, Fault::kNoSyncThreads, Fault::kLostCopy}) {
    late.fault = fault;
    copied_sum(late, sum);
    EXPECT_TRUE(std::isnan(sum)) << static_cast<int>(fault);
  }
}

// Tiles of 64 x 64 go through the copy engine and a product of a warpgroup: out = in in^T, and what in itself was.
struct TileRun {
  std::vector<ga::bf16> in = std::vector<ga::bf16>(80 * 64), out = std::vector<ga::bf16>(80 * 64, {0x7fff});
  std::vector<float> product = std::vector<float>(64 * 64, 0);
  std::string failure;

  explicit TileRun(const Options &options) {
    for (size_t i = 0; i < in.size(); ++i) in[i] = gaemu::narrow<ga::bf16>(small_number(static_cast<int>(i)));
    const TensorMap from = map(in), to = map(out);
    failure = gaemu::launch(1, 128, 8192 + 8, [&] { kernel(from, to); }, options);
  }

  static TensorMap map(std::vector<ga::bf16> &data) {
    TensorMap m;
    m.data = reinterpret_cast<char *>(data.data());
    const int64_t extent[4] = {64, 70, 1, 1}, stride[4] = {2, 128, 0, 0};
    const int32_t box[4] = {64, 64, 1, 1};
    std::copy(extent, extent + 4, m.extent);
    std::copy(stride, stride + 4, m.stride_bytes);
    std::copy(box, box + 4, m.box);
    return m;
  }

  void kernel(const TensorMap &from, const TensorMap &to) {
    auto *full = reinterpret_cast<Barrier *>(shared_memory() + 8192);
    if (thread_index() == 0) {
      barrier_init(full, 1);
      fence_barrier_init();
    }
    sync_threads();
    for (int row = 0; row < 70; row += 64) {
      if (thread_index() == 0) {
        barrier_arrive_expect(full, 8192);
        tile_load(0, &from, full, 0, row, 0, 0);
      }
      barrier_wait(full, static_cast<uint32_t>(row / 64));
      if (row == 0) {
        float d[32];
        wgmma_fence();
        for (uint32_t k = 0; k < 4; ++k) {
          const uint64_t operand = wgmma_operand<128>(k * 32, 0);
          Wgmma<ga::bf16, 64, false>::shared_shared(d, operand, operand, k > 0);
        }
        wgmma_commit();
        wgmma_wait<0>();
        wgmma_results(d);
        for (int i = 0; i < 32; ++i) {
          const int t = thread_index(), r = t / 32 * 16 + t % 32 / 4 + (i & 2) * 4, n = i / 4 * 8 + t % 4 * 2 + (i & 1);
          product[static_cast<size_t>(r * 64 + n)] = d[i];
        }
      }
      // Every byte once through registers.
      for (uint32_t block = 0; block < 4; ++block) {
        uint32_t r[4];
        const int row_of_lane = warp_index() * 16 + lane_index() % 16;
        const auto at = static_cast<uint32_t>(row_of_lane * 128) +
                        ((block * 2 + static_cast<uint32_t>(lane_index()) / 16) ^ (row_of_lane & 7U)) * 16;
        load_matrix(r, at);
        sync_warp();
        store_matrix(at, r);
      }
      fence_async_proxy();
      sync_threads();
      if (thread_index() == 0) {
        tile_store(&to, 0, 0, row, 0, 0);
        tile_store_commit();
        tile_store_wait_read<0>();
      }
      sync_threads();
    }
  }

  bool right() const {
    if (!failure.empty()) return false;
    for (size_t i = 0; i < out.size(); ++i) {
      if (out[i].bits != (i < 70 * 64 ? in[i].bits : 0x7fff)) return false;  // rows outside of the tensor stay
    }
    for (size_t r = 0; r < 64; ++r) {
      for (size_t n = 0; n < 64; ++n) {
        float sum = 0;
        for (size_t d = 0; d < 64; ++d) sum += gaemu::widen(in[r * 64 + d]) * gaemu::widen(in[n * 64 + d]);
        if (std::fabs(sum - product[r * 64 + n]) > 1e-3F) return false;
      }
    }
    return true;
  }
};

TEST(Emulator, TilesAndProductsOfAWarpgroup) {
  for (const Asynchronous schedule : kSchedules) {
    Options options;
    options.asynchronous = schedule;
    const TileRun run(options);
    EXPECT_EQ("", run.failure);
    EXPECT_TRUE(run.right());
  }
  for (const Fault fault :
       {Fault::kBarrierWaitReturns, Fault::kWrongPhase, Fault::kLateLoad, Fault::kWrongSwizzle, Fault::kEarlyRelease,
        Fault::kNoAsyncProxyFence, Fault::kNoBarrierInitFence, Fault::kNoStoreWait}) {
    Options options;
    options.asynchronous = Asynchronous::kLate;
    options.fault = fault;
    EXPECT_FALSE(TileRun(options).right()) << static_cast<int>(fault);
  }
}

TEST(Emulator, TheLastBlockSeesWhatAllWrote) {
  for (const Blocks blocks : {Blocks::kInSequence, Blocks::kInterleaved}) {
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      std::vector<uint32_t> partial(7, 0);
      uint32_t arrived = 0, total = 0;
      int last_ones = 0;
      Options options;
      options.blocks = blocks;
      options.seed = seed;
      EXPECT_EQ("", gaemu::launch(
                        7, 32, 0,
                        [&] {
                          if (lane_index() == 0) {
                            partial[static_cast<size_t>(block_index())] = static_cast<uint32_t>(block_index() + 1);
                            fence_device();
                          }
                          uint32_t seen = 0;
                          if (lane_index() == 0) seen = atomic_add(&arrived, 1U);
                          if (shuffle(seen, 0) != 6) return;
                          fence_device();
                          if (lane_index() != 0) return;
                          ++last_ones;
                          for (uint32_t &each : partial) total += load_volatile(&each);
                        },
                        options));
      EXPECT_EQ(last_ones, 1);
      EXPECT_EQ(total, 28U);
    }
  }
}

TEST(Emulator, NamesWhatWentWrong) {
  EXPECT_NE(std::string::npos, gaemu::launch(1, 64, 0, [] {
                                 if (thread_index() < 32) sync_threads();
                               }).find("deadlock: 32 wait for sync_threads"));
  EXPECT_NE(std::string::npos, gaemu::launch(1, 32, 0, [] {
                                 if (lane_index() < 16)
                                   any(true);
                                 else
                                   sync_warp();
                               }).find("while others wait at"));
  EXPECT_NE(std::string::npos, gaemu::launch(1, 32, 64, [] { load_shared(64); }).find("of a block that has 64"));
  EXPECT_NE(std::string::npos, gaemu::launch(1, 32, 64, [] {
                                 barrier_wait(reinterpret_cast<Barrier *>(shared_memory()), 0);
                               }).find("was not initialized"));
}

}  // namespace
}  // namespace gatest
