#include "synchronize.h"

#include <algorithm>

namespace gaemu {
namespace {

BarrierState &state(Block &block, uint32_t address) {
  block.at(address, 8);
  if (address % 8 != 0) fail("a barrier at %u, which is not a multiple of 8", address);
  if (!block.barriers[address / 8]) {
    fail("the barrier at %u of shared memory is used but was not initialized", address);
    block.barriers[address / 8] = std::make_unique<BarrierState>();
  }
  return *block.barriers[address / 8];
}

void settle(BarrierState &b) {
  if (b.pending != 0 || b.bytes != 0) return;
  b.phase ^= 1;
  b.pending = b.arrivals;
  wake(b.waiting);
}

}  // namespace

void barrier_init(uint32_t address, int arrivals) {
  Block &block = *current->block;
  block.at(address, 8);
  if (block.barriers[address / 8]) fail("the barrier at %u is initialized twice", address);
  block.barriers[address / 8] = std::make_unique<BarrierState>();
  BarrierState &b = *block.barriers[address / 8];
  b.arrivals = b.pending = arrivals;
  current->unfenced_barriers.push_back(address);
}

void barrier_init_fence() {
  if (faulty(Fault::kNoBarrierInitFence)) return;
  for (const uint32_t address : current->unfenced_barriers) current->block->barriers[address / 8]->fenced = true;
  current->unfenced_barriers.clear();
}

void barrier_arrive(uint32_t address, uint32_t expected_bytes) {
  BarrierState &b = state(*current->block, address);
  if (b.pending <= 0)
    fail("thread %d arrives at the barrier at %u more often than it counts (%d)", current->index, address, b.arrivals);
  b.bytes += expected_bytes;
  --b.pending;
  settle(b);
}

void barrier_wait(uint32_t address, uint32_t parity) {
  BarrierState &b = state(*current->block, address);
  if (faulty(Fault::kBarrierWaitReturns)) return;
  if (faulty(Fault::kWrongPhase)) parity ^= 1;
  while (b.phase == (parity & 1)) {
    b.waiting.push_back(current);
    current->waits_at = address;
    wait_for("a memory barrier");
    current->waits_at = 0;
  }
}

void barrier_complete(Block &block, uint32_t address, uint32_t bytes) {
  BarrierState &b = state(block, address);
  if (!b.fenced)
    fail("the copy engine uses the barrier at %u, which was initialized without fence_barrier_init", address);
  b.bytes -= bytes;
  settle(b);
}

void sync_threads() {
  if (faulty(Fault::kNoSyncThreads)) return;
  meet(current->block->all, static_cast<int>(current->block->threads.size()), "sync_threads");
}

bool sync_threads_or(bool x) {
  Block &block = *current->block;
  bool mine = x;
  current->argument = &mine;
  const std::function<void()> last = [&] {
    bool result = false;
    for (const auto &thread : block.threads) result |= *static_cast<bool *>(thread->argument);
    for (const auto &thread : block.threads) *static_cast<bool *>(thread->argument) = result;
  };
  meet(block.all, static_cast<int>(block.threads.size()), "sync_threads_or", &last);
  return mine;
}

void named_sync(int id, int threads) {
  if (active->options.fault == Fault::kNoNamedSync) return;
  meet(current->block->named[static_cast<size_t>(id)], threads, "a named barrier");
}

void named_arrive(int id, int threads) {
  if (active->options.fault == Fault::kNoNamedSync) return;
  Rendezvous &r = current->block->named[static_cast<size_t>(id)];
  if (r.arrived == 0) {
    r.operation = "a named barrier";
    r.expected = threads;
  } else if (r.expected != threads) {
    fail("thread %d arrives at named barrier %d of %d threads while others wait for %d", current->index, id, threads,
         r.expected);
  }
  if (++r.arrived < threads) return;
  r.arrived = 0;
  wake(r.waiting);
}

void note_store(uint32_t address, uint32_t bytes) {
  for (uint32_t unit = address / 16; unit <= (address + bytes - 1) / 16; ++unit) {
    current->block->dirty[unit] = static_cast<uint16_t>(current->index + 1);
    current->unfenced.push_back(unit);
  }
}

void async_proxy_fence() {
  if (faulty(Fault::kNoAsyncProxyFence)) return;
  for (const uint32_t unit : current->unfenced) {
    uint16_t &dirty = current->block->dirty[unit];
    if (dirty == current->index + 1) dirty = 0;
  }
  current->unfenced.clear();
}

void check_async_read(Block &block, uint32_t address, uint32_t bytes, const char *by) {
  for (uint32_t unit = address / 16; unit <= (address + bytes - 1) / 16; ++unit) {
    if (block.dirty[unit] == 0) continue;
    fail("%s reads shared memory at %u, which thread %d stored without fence_async_proxy after it", by, unit * 16,
         block.dirty[unit] - 1);
    return;
  }
}

}  // namespace gaemu
