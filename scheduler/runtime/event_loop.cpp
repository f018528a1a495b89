#include "runtime/event_loop.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <prs/error.hpp>

namespace prs::runtime {
namespace {

/// More than a node has workers: after one wait all that has come is known.
constexpr std::size_t kMostReady = 1024;

void check(int result, const char* call) {
  if (result < 0) {
    throw Error(ErrorCode::kIo, fmt::format("{}: {}", call, std::strerror(errno)));
  }
}

sigset_t stop_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

EventLoop::EventLoop() {
  const sigset_t set = stop_signals();
  epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  check(epoll_.get(), "epoll_create1");
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  signals_ = Fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  check(signals_.get(), "signalfd");
  add(signals_.get(), kSignalTag);
}

EventLoop::~EventLoop() {
  const sigset_t set = stop_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void EventLoop::add(int fd, std::uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void EventLoop::set_writable(int fd, std::uint64_t tag, bool wanted) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (wanted) event.events |= EPOLLOUT;
  event.data.u64 = tag;
  check(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event), "epoll_ctl");
}

void EventLoop::remove(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

const std::vector<EventLoop::Ready>& EventLoop::wait(std::chrono::nanoseconds timeout) {
  int timeout_ms = -1;
  if (timeout.count() >= 0) {
    // Rounded up: waking too early would find nothing due and wait again.
    const std::int64_t whole = (timeout.count() + 999'999) / 1'000'000;
    timeout_ms = static_cast<int>(std::min<std::int64_t>(whole, INT_MAX));
  }
  std::array<epoll_event, kMostReady> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), timeout_ms);
  ready_.clear();
  if (count < 0 && errno != EINTR) check(count, "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    ready_.push_back({.tag = event.data.u64,
                      .readable = (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0,
                      .writable = (event.events & EPOLLOUT) != 0});
  }
  return ready_;
}

int EventLoop::take_signals() {
  int count = 0;
  signalfd_siginfo info;
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) ++count;
  return count;
}

}  // namespace prs::runtime
