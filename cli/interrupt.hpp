// Ctrl-C: the first asks the command to stop cleanly, the second ends the program at once.
#pragma once

namespace prs::cli {

/// While one of these lives, the first SIGINT is noted instead of ending the process. One at a
/// time, created on the main thread before others start.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// Whether SIGINT came. Any thread.
bool interrupted() noexcept;

/// While one of these lives, threads that are started ignore SIGINT, so that it reaches the main
/// thread.
class BlockInterrupts {
 public:
  BlockInterrupts();
  ~BlockInterrupts();
  BlockInterrupts(const BlockInterrupts&) = delete;
  BlockInterrupts& operator=(const BlockInterrupts&) = delete;
};

}  // namespace prs::cli
