#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#ifndef __x86_64__
#include <ucontext.h>

#include <utility>
#endif

namespace gaemu {
namespace {

constexpr size_t kStackBytes = 256 << 10;  // touched pages alone take memory

char *new_stack() {
  void *p = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("emulator: no memory for a stack");
    std::abort();
  }
  return static_cast<char *>(p);
}

// Whoever was left in the middle of a call left marks of the address sanitizer on the stack, too.
void forget_marks([[maybe_unused]] char *stack) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(stack, kStackBytes);
#endif
}

}  // namespace

#ifdef __x86_64__

// gaemu_switch(&save, load): keeps what a call must keep on this stack, and goes on with another one.
extern "C" void gaemu_switch(void **save, void *load);
extern "C" void gaemu_enter();
asm(R"(
.text
.globl gaemu_switch
.type gaemu_switch, @function
gaemu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gaemu_switch, .-gaemu_switch
.globl gaemu_enter
.type gaemu_enter, @function
gaemu_enter:
  movq %r13, %rdi
  callq *%r12
  ud2
.size gaemu_enter, .-gaemu_enter
)");

struct Fiber::Context {
  char *stack = new_stack();
  void *own = nullptr;
  void *scheduler = nullptr;
};

void Fiber::start(void (*entry)(void *), void *argument) {
  forget_marks(context_->stack);
  auto *top = reinterpret_cast<uintptr_t *>(context_->stack + kStackBytes);
  // As gaemu_switch leaves it: r15, r14, r13, r12, rbx, rbp, return address; then one word so that calls are aligned.
  top -= 3;
  *top = reinterpret_cast<uintptr_t>(&gaemu_enter);
  top -= 6;
  for (int i = 0; i < 6; ++i) top[i] = 0;
  top[2] = reinterpret_cast<uintptr_t>(argument);
  top[3] = reinterpret_cast<uintptr_t>(entry);
  context_->own = top;
}

void Fiber::resume() { gaemu_switch(&context_->scheduler, context_->own); }
void Fiber::suspend() { gaemu_switch(&context_->own, context_->scheduler); }

#else

struct Fiber::Context {
  char *stack = new_stack();
  ucontext_t own{};
  ucontext_t scheduler{};
  void (*entry)(void *) = nullptr;
  void *argument = nullptr;
};

namespace {
void enter(unsigned high, unsigned low) {
  const uintptr_t bits = static_cast<uintptr_t>(static_cast<uint64_t>(high) << 32 | low);
  auto *call = reinterpret_cast<std::pair<void (*)(void *), void *> *>(bits);
  call->first(call->second);
}
}  // namespace

void Fiber::start(void (*entry)(void *), void *argument) {
  forget_marks(context_->stack);
  getcontext(&context_->own);
  context_->own.uc_stack.ss_sp = context_->stack;
  context_->own.uc_stack.ss_size = kStackBytes - 64;
  context_->own.uc_link = nullptr;
  auto *call = new (context_->stack + kStackBytes - 64) std::pair<void (*)(void *), void *>(entry, argument);
  const auto bits = static_cast<uint64_t>(reinterpret_cast<uintptr_t>(call));
  makecontext(&context_->own, reinterpret_cast<void (*)()>(enter), 2, static_cast<unsigned>(bits >> 32),
              static_cast<unsigned>(bits));
}

void Fiber::resume() { swapcontext(&context_->scheduler, &context_->own); }
void Fiber::suspend() { swapcontext(&context_->own, &context_->scheduler); }

#endif

Fiber::Fiber() : context_(new Context) {}
Fiber::~Fiber() { munmap(context_->stack, kStackBytes); }

}  // namespace gaemu
