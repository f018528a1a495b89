#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "text.hpp"

namespace prs::cli {
namespace {

constexpr auto kSilence = std::chrono::seconds(2);
constexpr auto kInterval = std::chrono::milliseconds(100);

std::string format_duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::ceil(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

Progress::Progress(std::int64_t total, std::string_view noun)
    : total_(total),
      noun_(noun),
      terminal_(::isatty(STDERR_FILENO) == 1),
      next_(start_ + kSilence) {}

void Progress::update(std::int64_t done) {
  if (!terminal_) return;
  const Clock::time_point now = Clock::now();
  if (now < next_) return;
  next_ = now + kInterval;
  const double rate = static_cast<double>(done) / elapsed_s();
  std::string left = "-";
  if (rate > 0.0) left = format_duration(static_cast<double>(total_ - done) / rate);
  fmt::print(stderr, "\r\033[K{} of {} {}, {}/s, {} left", group_digits(done), group_digits(total_),
             noun_, format_rate(rate), left);
  std::fflush(stderr);
  shown_ = true;
}

void Progress::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  shown_ = false;
}

double Progress::elapsed_s() const {
  return std::chrono::duration<double>(Clock::now() - start_).count();
}

}  // namespace prs::cli
