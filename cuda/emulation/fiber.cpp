#include "emulation/fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "emulation/sanitizer.hpp"

#ifndef __x86_64__
#include <ucontext.h>
#endif

#ifdef __x86_64__
// prs_emulated_switch(save, next): pushes what the System V ABI lets a callee keep, stores the
// stack pointer at *save and goes on from `next`. ucontext would save the signal mask too, by a
// system call each time.
extern "C" void prs_emulated_switch(void** save, void* next);
__asm__(R"(
.text
.hidden prs_emulated_switch
.globl prs_emulated_switch
.type prs_emulated_switch, @function
prs_emulated_switch:
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
.size prs_emulated_switch, .-prs_emulated_switch
)");
#endif

namespace prs::cuda::emulated {
namespace {

#ifdef PRS_ASAN
constexpr std::size_t kStackBytes = 256 << 10;  // Redzones make frames large.
#else
constexpr std::size_t kStackBytes = 64 << 10;
#endif

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

/// The fiber that is entered for the first time: its entry function takes no argument.
thread_local Fiber* starting = nullptr;

}  // namespace

Fiber::Fiber() {
  const std::size_t guard = page_bytes();
  mapping_ = mmap(nullptr, kStackBytes + guard, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping_ == MAP_FAILED) throw std::bad_alloc();
  mprotect(mapping_, guard, PROT_NONE);
  stack_ = static_cast<std::byte*>(mapping_) + guard;
#ifndef __x86_64__
  contexts_ = new ucontext_t[2];
#endif
}

Fiber::~Fiber() {
#ifdef PRS_ASAN
  __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
  munmap(mapping_, kStackBytes + page_bytes());
#ifndef __x86_64__
  delete[] static_cast<ucontext_t*>(contexts_);
#endif
}

void Fiber::start(Body body, void* argument) {
  body_ = body;
  argument_ = argument;
  own_fake_stack_ = nullptr;
#ifdef PRS_ASAN
  // Frames that a forgotten body left behind.
  __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
#ifdef __x86_64__
  // As prs_emulated_switch leaves a stack: six registers, then where to go on. After `ret` the
  // stack pointer is 8 short of a multiple of 16, as at the entry of any function.
  auto** top = reinterpret_cast<void**>(static_cast<std::byte*>(stack_) + kStackBytes);
  top[-1] = nullptr;
  top[-2] = reinterpret_cast<void*>(&Fiber::enter_started);
  for (int i = 3; i <= 8; ++i) top[-i] = nullptr;
  own_context_ = top - 8;
#else
  auto* own = static_cast<ucontext_t*>(contexts_);
  getcontext(own);
  own->uc_stack.ss_sp = stack_;
  own->uc_stack.ss_size = kStackBytes;
  own->uc_link = nullptr;
  makecontext(own, reinterpret_cast<void (*)()>(&Fiber::enter_started), 0);
#endif
}

void Fiber::enter_started() {
  Fiber& self = *starting;
#ifdef PRS_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &self.caller_stack_, &self.caller_stack_bytes_);
#endif
  self.body_(self.argument_);
  self.switch_out(true);
  std::abort();  // A finished fiber was resumed.
}

void Fiber::resume() {
  starting = this;
#ifdef PRS_ASAN
  void* fake_stack = nullptr;
  __sanitizer_start_switch_fiber(&fake_stack, stack_, kStackBytes);
#endif
#ifdef __x86_64__
  prs_emulated_switch(&caller_context_, own_context_);
#else
  auto* contexts = static_cast<ucontext_t*>(contexts_);
  swapcontext(contexts + 1, contexts);
#endif
#ifdef PRS_ASAN
  __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

void Fiber::pause() { switch_out(false); }

void Fiber::switch_out(bool last) {
#ifdef PRS_ASAN
  __sanitizer_start_switch_fiber(last ? nullptr : &own_fake_stack_, caller_stack_,
                                 caller_stack_bytes_);
#else
  static_cast<void>(last);
#endif
#ifdef __x86_64__
  prs_emulated_switch(&own_context_, caller_context_);
#else
  auto* contexts = static_cast<ucontext_t*>(contexts_);
  swapcontext(contexts, contexts + 1);
#endif
#ifdef PRS_ASAN
  __sanitizer_finish_switch_fiber(own_fake_stack_, &caller_stack_, &caller_stack_bytes_);
#endif
}

}  // namespace prs::cuda::emulated
