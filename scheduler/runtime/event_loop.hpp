// epoll with small integer tags, and the signals that stop a job as one of its sources.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/fd.hpp"

namespace prs::runtime {

class EventLoop {
 public:
  struct Ready {
    std::uint64_t tag;
    bool readable;
    bool writable;
  };

  /// Blocks SIGINT, SIGTERM and SIGHUP for this thread and those it starts, and ignores SIGPIPE.
  /// Throws io.
  EventLoop();
  /// Puts the signal mask back.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  void add(int fd, std::uint64_t tag);
  void set_writable(int fd, std::uint64_t tag, bool wanted);
  void remove(int fd);

  /// Waits until something is ready or `timeout` has passed; at most forever for a negative one.
  const std::vector<Ready>& wait(std::chrono::nanoseconds timeout);
  /// How many of the signals have come since the last call.
  int take_signals();

 private:
  Fd epoll_;
  Fd signals_;
  std::vector<Ready> ready_;
};

/// The tag under which the signals are reported.
inline constexpr std::uint64_t kSignalTag = ~std::uint64_t{0};

}  // namespace prs::runtime
