#include "job_display.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

namespace prs::cli {
namespace {

/// Between two plain lines when nobody watches.
constexpr auto kLineInterval = std::chrono::seconds(5);
/// A job that is shorter needs no display.
constexpr auto kPatience = std::chrono::seconds(2);

winsize terminal_size() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0;
  if (!known || size.ws_col == 0) size.ws_col = 80;
  if (!known || size.ws_row == 0) size.ws_row = 24;
  return size;
}

}  // namespace

JobDisplay::JobDisplay(bool quiet)
    : quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) != 0),
      next_line_(Clock::now() + kPatience) {}

void JobDisplay::limits(const std::string& table) const {
  if (!quiet_) fmt::print(stderr, "{}", table);
}

void JobDisplay::show(const monitor::JobStatus& status) {
  if (quiet_ || Clock::now() < next_line_) return;
  if (!terminal_) {
    next_line_ = Clock::now() + kLineInterval;
    const bool any = status.done + status.failed > 0;
    fmt::print(stderr, "prs-gpu: {}\n",
               any ? monitor::overview_line(status)
                   : "no mini-batch processed yet: " + monitor::activity(status));
    return;
  }
  erase();
  const winsize size = terminal_size();
  // The cursor stands on a line of its own below; what has scrolled away could not be erased.
  for (const std::string& line : monitor::terminal_lines(status, size.ws_col, size.ws_row - 1)) {
    fmt::print(stderr, "{}\n", line);
    ++drawn_;
  }
}

void JobDisplay::note(const std::string& text) {
  erase();
  fmt::print(stderr, "prs-gpu: {}\n", text);
}

void JobDisplay::result(const logs::JobResult& result, const logs::Paths& paths) {
  erase();
  fmt::print(stderr, "{}", logs::job_result_text(result, paths));
}

void JobDisplay::erase() {
  for (; drawn_ > 0; --drawn_) fmt::print(stderr, "\033[1A\033[2K");
}

}  // namespace prs::cli
