#include "machine.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <sstream>

#include "matrix.h"

namespace gaemu {

Thread *current = nullptr;
Launch *active = nullptr;

namespace {

constexpr int kLiveBlocks = 3;  // of interleaved ones

void thread_main(void *) {
  active->kernel();
  Thread &self = *current;
  for (const auto &group : self.stores) {
    for (const BulkStore &store : group) {
      if (!store.done)
        fail("thread %d of block %d ends while a bulk store still reads its shared memory", self.index,
             self.block->index);
    }
  }
  self.done = true;
  --self.block->running;
  self.fiber.suspend();
}

std::unique_ptr<Block> new_block(int index, int threads, size_t shared_bytes,
                                 std::vector<std::unique_ptr<Thread>> &idle) {
  auto block = std::make_unique<Block>();
  block->index = index;
  block->running = threads;
  block->shared_bytes = static_cast<uint32_t>(shared_bytes);
  block->storage.assign(shared_bytes + 1024, 0xff);  // NaN as f32, bf16 and f16
  const uintptr_t address = reinterpret_cast<uintptr_t>(block->storage.data());
  block->shared = block->storage.data() + (1024 - address % 1024) % 1024;
  block->dirty.assign(shared_bytes / 16 + 1, 0);
  block->barriers.resize(shared_bytes / 8 + 1);
  block->warps.resize(static_cast<size_t>(threads) / 32);
  block->warpgroup_meetings.resize(static_cast<size_t>(threads) / 128 + 1);
  block->named.resize(16);
  for (int i = 0; i <= threads / 128; ++i) block->warpgroups.push_back(std::make_unique<Warpgroup>());
  for (int i = 0; i < threads; ++i) {
    std::unique_ptr<Thread> thread;
    if (idle.empty()) {
      thread = std::make_unique<Thread>();
    } else {
      thread = std::move(idle.back());
      idle.pop_back();
    }
    thread->block = block.get();
    thread->index = i;
    thread->done = false;
    thread->waits_for = nullptr;
    thread->waits_at = 0;
    thread->copies.assign(1, {});
    thread->stores.assign(1, {});
    thread->unfenced.clear();
    thread->unfenced_barriers.clear();
    thread->fiber.start(thread_main, nullptr);
    active->ready.push_back(thread.get());
    block->threads.push_back(std::move(thread));
  }
  return block;
}

bool land_one() {
  auto &loads = active->loads;
  if (loads.empty()) return false;
  const size_t n = active->next_random() % loads.size();
  const std::function<void()> load = std::move(loads[n]);
  loads[n] = std::move(loads.back());
  loads.pop_back();
  load();
  return true;
}

void report_deadlock(const std::vector<std::unique_ptr<Block>> &live) {
  std::map<std::string, std::pair<int, int>> waits;  // what: how many, the first
  for (const auto &block : live) {
    for (const auto &thread : block->threads) {
      if (thread->done) continue;
      std::string what = thread->waits_for ? thread->waits_for : "nothing";
      if (thread->waits_at > 0) what += " at " + std::to_string(thread->waits_at);
      auto &[count, first] = waits[what];
      if (count++ == 0) first = thread->index;
    }
  }
  std::ostringstream text;
  text << "deadlock:";
  for (const auto &[what, who] : waits) {
    text << ' ' << who.first << " wait for " << what << " (first: thread " << who.second << ");";
  }
  fail("%s", text.str().c_str());
}

std::vector<std::unique_ptr<Thread>> &idle_threads() {  // stacks outlive launches
  static std::vector<std::unique_ptr<Thread>> idle;
  return idle;
}

void run(int threads, size_t shared_bytes) {
  Launch &l = *active;
  std::vector<int> order(static_cast<size_t>(l.blocks));
  for (int i = 0; i < l.blocks; ++i) order[static_cast<size_t>(i)] = l.blocks - 1 - i;
  const bool interleaved = l.options.blocks == Blocks::kInterleaved;
  if (interleaved) {
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[l.next_random() % i]);
  }
  std::vector<std::unique_ptr<Block>> live;
  const auto retire = [&](size_t n) {
    for (auto &thread : live[n]->threads) idle_threads().push_back(std::move(thread));
    live.erase(live.begin() + static_cast<std::ptrdiff_t>(n));
  };
  while (l.failure.empty()) {
    while (!order.empty() && live.size() < (interleaved ? kLiveBlocks : 1)) {
      live.push_back(new_block(order.back(), threads, shared_bytes, idle_threads()));
      order.pop_back();
    }
    if (live.empty()) break;
    if (l.ready.empty()) {
      if (!land_one()) report_deadlock(live);
      continue;
    }
    if (l.options.asynchronous == Asynchronous::kRandom && !l.loads.empty() && l.chance(64)) land_one();
    const size_t n = l.next_random() % l.ready.size();
    current = l.ready[n];
    l.ready[n] = l.ready.back();
    l.ready.pop_back();
    Block *block = current->block;
    current->waits_for = nullptr;
    current->fiber.resume();
    current = nullptr;
    if (block->running == 0) {
      for (size_t i = 0; i < live.size(); ++i) {
        if (live[i].get() == block) {
          retire(i);
          break;
        }
      }
    }
  }
  while (!live.empty()) retire(live.size() - 1);
}

}  // namespace

uint64_t Launch::next_random() {  // xorshift
  random ^= random << 13;
  random ^= random >> 7;
  random ^= random << 17;
  return random >> 11;
}

uint8_t *Block::at(uint32_t address, uint32_t bytes) {
  if (address + bytes > shared_bytes) {
    fail("shared memory at %u, %u bytes, of a block that has %u", address, bytes, shared_bytes);
    return shared;
  }
  return shared + address;
}

std::string launch(int blocks, int threads, size_t shared_bytes, const std::function<void()> &kernel,
                   const Options &options) {
  if (threads % 32 != 0) return "threads must be a multiple of 32";
  Launch l;
  l.options = options;
  l.blocks = blocks;
  l.kernel = kernel;
  l.random = options.seed * 0x9e3779b97f4a7c15ULL + 1;
  active = &l;
  run(threads, shared_bytes);
  active = nullptr;
  return l.failure;
}

bool faulty(Fault fault) {
  if (active->options.fault != fault) return false;
  return active->faults++ % active->options.fault_every == active->options.fault_every - 1;
}

void fail(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (active->failure.empty()) active->failure = text;
  if (current) current->fiber.suspend();
}

void yield() {
  active->ready.push_back(current);
  current->fiber.suspend();
}

void wait_for(const char *what) {
  current->waits_for = what;
  current->fiber.suspend();
}

void wake(std::vector<Thread *> &waiting) {
  active->ready.insert(active->ready.end(), waiting.begin(), waiting.end());
  waiting.clear();
}

void meet(Rendezvous &r, int expected, const char *operation, const std::function<void()> *last) {
  if (r.arrived == 0) {
    r.operation = operation;
    r.expected = expected;
  } else if (std::strcmp(r.operation, operation) != 0 || r.expected != expected) {
    fail("thread %d comes to %s of %d threads while others wait at %s of %d", current->index, operation, expected,
         r.operation, r.expected);
  }
  ++r.arrived;
  if (r.arrived < expected) {
    r.waiting.push_back(current);
    wait_for(operation);
    return;
  }
  if (last) (*last)();
  r.arrived = 0;
  wake(r.waiting);
}

Warpgroup::Warpgroup() : issued(128, 0) {}
Warpgroup::~Warpgroup() = default;

}  // namespace gaemu
