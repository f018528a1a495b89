#include "logs/text.hpp"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>

#include "logs/log_tree.hpp"

namespace prs::logs {
namespace {

struct tm utc(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const time_t seconds = std::chrono::system_clock::to_time_t(whole);
  struct tm parts {};
  ::gmtime_r(&seconds, &parts);
  return parts;
}

}  // namespace

std::string timestamp(std::chrono::system_clock::time_point time) {
  // Of thousands of lines in a second, only the milliseconds differ.
  thread_local std::chrono::sys_seconds known = std::chrono::sys_seconds::min();
  thread_local std::string seconds;
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  if (whole != known) {
    const struct tm parts = utc(time);
    seconds =
        fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1,
                    parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    known = whole;
  }
  const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(time) - whole;
  return fmt::format("{}.{:03} UTC", seconds, milliseconds.count());
}

std::string timestamp_us(std::int64_t unix_us) {
  if (unix_us == 0) return {};
  return timestamp(std::chrono::system_clock::time_point(std::chrono::microseconds(unix_us)));
}

std::string utc_hour(std::chrono::system_clock::time_point time) {
  const struct tm parts = utc(time);
  return fmt::format("{:04}{:02}{:02}{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                     parts.tm_hour);
}

std::string duration_text(double seconds) {
  // A thousand years: beyond it an estimate means nothing, and the cast below stays defined.
  constexpr double kMost = 1000.0 * 365 * 24 * 3600;
  if (!(seconds > 0)) seconds = 0;
  const auto whole = static_cast<std::int64_t>(std::min(std::floor(seconds), kMost));
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string log_line(std::string_view stamp, std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  std::string line;
  line.reserve(stamp.size() + text.size() + 2);
  line.append(stamp).append(" ");
  for (const char c : text) {
    line += c;
    if (c == '\n') line += "    ";
  }
  line += '\n';
  return line;
}

std::string_view telling_line(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return "(no message)";
  text = text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
  if (text.starts_with("Traceback ")) {
    const std::size_t last = text.rfind('\n');
    return last == std::string_view::npos ? text : text.substr(last + 1);
  }
  std::string_view first = text.substr(0, text.find('\n'));
  while (first.ends_with('\r')) first.remove_suffix(1);
  return first;
}

}  // namespace prs::logs
