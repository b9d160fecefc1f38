// The emulated GPU: blocks of threads, who runs next, and what went wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fiber.h"

namespace gaemu {

// When asynchronous work (copies to shared memory, warpgroup products, bulk stores) happens between its start and the wait.
enum class Asynchronous {
  kEager,   // at once
  kRandom,  // at any time
  kLate     // when it is waited for, and copies that a barrier counts: when nothing else can move
};

enum class Blocks {
  kInSequence,
  kInterleaved  // some at a time, in random order
};

// One primitive that is broken on purpose: proof that the tests of a kernel see such a bug in it.
enum class Fault {
  kNone,
  kBarrierWaitReturns,  // barrier_wait returns at once
  kWrongPhase,          // barrier_wait takes the other parity
  kLateLoad,            // tile_load completes on its barrier before its bytes are there
  kWrongSwizzle,        // tile_load writes rows as they come
  kEarlyRelease,        // wgmma_wait returns before the products are done
  kNoAsyncProxyFence,   // fence_async_proxy does nothing
  kNoBarrierInitFence,  // fence_barrier_init does nothing
  kNoStoreWait,         // tile_store_wait and tile_store_wait_read return at once
  kNoCopyWait,          // copy_async_wait returns at once
  kNoSyncThreads,       // sync_threads returns at once
  kNoNamedSync,         // named_sync returns at once, named_arrive counts for nothing
  kLostCopy,            // copy_async16 brings nothing
};

struct Options {
  Asynchronous asynchronous = Asynchronous::kRandom;
  Blocks blocks = Blocks::kInSequence;
  Fault fault = Fault::kNone;
  int fault_every = 1;  // of the calls of the broken primitive, which ones fail
  uint64_t seed = 1;
};

struct Block;

// Waits of many for one another; each waiter suspends, the last one to come goes on and frees the others.
struct Thread;
struct Rendezvous {
  const char *operation = nullptr;
  int expected = 0;
  int arrived = 0;
  std::vector<Thread *> waiting;
};

struct Copy {  // cp.async of 16 bytes
  uint8_t *to;
  const uint8_t *from;  // nullptr: zeros
  bool landed;
};

struct BulkStore {
  std::function<void()> run;
  bool done;
};

struct Thread {
  Fiber fiber;
  Block *block = nullptr;
  int index = 0;
  bool done = false;
  const char *waits_for = nullptr;
  uint32_t waits_at = 0;                  // of a memory barrier: where it lies
  void *argument = nullptr;               // of a collective operation
  std::vector<std::vector<Copy>> copies;  // groups; the last one is open
  std::vector<std::vector<BulkStore>> stores;
  std::vector<uint32_t> unfenced;  // 16-byte units of shared memory that it wrote since fence_async_proxy
  std::vector<uint32_t> unfenced_barriers;
};

struct BarrierState {
  int arrivals = 0, pending = 0;
  int64_t bytes = 0;
  uint32_t phase = 0;
  bool fenced = false;
  std::vector<Thread *> waiting;
};

struct Product;  // of a warpgroup: matrix.h
struct Warpgroup {
  Warpgroup();
  ~Warpgroup();
  std::vector<std::vector<Product>> groups;  // committed and not yet done
  std::vector<Product> open;
  std::vector<int> issued;  // by each thread since the last commit
};

struct Block {
  int index = 0;
  int running = 0;
  uint8_t *shared = nullptr;  // 1024-byte aligned
  uint32_t shared_bytes = 0;
  std::vector<std::unique_ptr<Thread>> threads;
  Rendezvous all;
  std::vector<Rendezvous> warps, warpgroup_meetings, named;
  std::vector<std::unique_ptr<Warpgroup>> warpgroups;
  std::vector<std::unique_ptr<BarrierState>> barriers;  // by offset / 8
  std::vector<uint16_t> dirty;                          // per 16-byte unit: 1 + the thread whose store has no fence yet
  std::vector<uint8_t> storage;

  // Checked: an access outside of the block's shared memory is a failure.
  uint8_t *at(uint32_t address, uint32_t bytes);
};

struct Launch {
  Options options;
  int blocks = 0;
  std::function<void()> kernel;
  std::vector<Thread *> ready;
  std::vector<std::function<void()>> loads;  // of the copy engine, not landed
  std::string failure;
  uint64_t random = 1;
  int faults = 0;

  uint64_t next_random();
  bool chance(int one_in) { return next_random() % static_cast<uint64_t>(one_in) == 0; }
};

extern Thread *current;  // the thread that runs; nullptr in the scheduler
extern Launch *active;

// Runs kernel() as every thread of every block and gives the first failure in words, empty when there was none.
// threads is a multiple of 32.
std::string launch(int blocks, int threads, size_t shared_bytes, const std::function<void()> &kernel,
                   const Options &options = {});

// Whether this call of the primitive is to fail.
bool faulty(Fault fault);

// Records the first failure; from a thread it does not return.
[[gnu::format(printf, 1, 2)]] void fail(const char *format, ...);

// Lets others run.
void yield();
// Until another thread puts this one among the ready ones.
void wait_for(const char *what);
void wake(std::vector<Thread *> &waiting);

// Returns in every thread once expected of them came; the last one runs last first.
void meet(Rendezvous &r, int expected, const char *operation, const std::function<void()> *last = nullptr);

// All lanes of the warp (threads of the warpgroup) call this with an argument each; run gets all of them.
template <typename Argument, typename Run>
void collective(const char *operation, Argument &mine, Run run) {
  Block &block = *current->block;
  const int first = current->index / 32 * 32;
  current->argument = &mine;
  const std::function<void()> last = [&] {
    Argument *all[32];
    for (int lane = 0; lane < 32; ++lane) {
      all[lane] = static_cast<Argument *>(block.threads[static_cast<size_t>(first + lane)]->argument);
    }
    run(all);
  };
  meet(block.warps[static_cast<size_t>(first / 32)], 32, operation, &last);
}

}  // namespace gaemu
