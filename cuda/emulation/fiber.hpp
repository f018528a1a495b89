// A fiber: a call stack of its own that runs when it is resumed and pauses where it says so. The
// threads of an emulated block are fibers of one host thread.
//
// A fiber belongs to the host thread that first resumed it. AddressSanitizer is told of every
// switch.
#pragma once

#include <cstddef>

namespace prs::cuda::emulated {

class Fiber {
 public:
  using Body = void (*)(void* argument);

  /// Reserves a stack with a guard page below it. Throws std::bad_alloc.
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Makes the next resume() call body(argument), which must not throw. A fiber that was paused in
  /// the middle of an earlier body forgets it; nothing on its stack is destroyed.
  void start(Body body, void* argument);

  /// Runs the fiber until it pauses or its body returns.
  void resume();

  /// Called on the fiber: back to where resume() was called.
  void pause();

 private:
  [[noreturn]] static void enter_started();
  void switch_out(bool last);

  void* mapping_ = nullptr;
  void* stack_ = nullptr;  ///< Lowest usable byte.
  void* own_context_ = nullptr;
  void* caller_context_ = nullptr;
  Body body_ = nullptr;
  void* argument_ = nullptr;
  // What AddressSanitizer wants to know of the stacks.
  [[maybe_unused]] void* own_fake_stack_ = nullptr;
  [[maybe_unused]] const void* caller_stack_ = nullptr;
  [[maybe_unused]] std::size_t caller_stack_bytes_ = 0;
#ifndef __x86_64__
  void* contexts_ = nullptr;  ///< Two ucontext_t: own, caller's.
#endif
};

}  // namespace prs::cuda::emulated
