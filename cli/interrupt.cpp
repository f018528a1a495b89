#include "interrupt.hpp"

#include <signal.h>

#include <atomic>

namespace prs::cli {
namespace {

std::atomic<bool> g_interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "set by a signal handler");

extern "C" void note_interrupt(int /*signal*/) { g_interrupted.store(true); }

void mask_interrupt(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  pthread_sigmask(how, &set, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  if (action.sa_handler == SIG_IGN) return;  // The parent wants it so: nohup, a background job.
  action.sa_handler = note_interrupt;
  sigemptyset(&action.sa_mask);
  // Writes are resumed: rows and messages must not be torn.
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
}

InterruptGuard::~InterruptGuard() {
  struct sigaction action {};
  sigaction(SIGINT, nullptr, &action);
  if (action.sa_handler == note_interrupt) signal(SIGINT, SIG_DFL);
}

bool interrupted() noexcept { return g_interrupted.load(); }

BlockInterrupts::BlockInterrupts() { mask_interrupt(SIG_BLOCK); }
BlockInterrupts::~BlockInterrupts() { mask_interrupt(SIG_UNBLOCK); }

}  // namespace prs::cli
