// Small pieces of text that several files of the log tree share.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace prs::logs {

/// 3725.9 -> "1:02:05". Not a number or negative: "0:00:00".
std::string duration_text(double seconds);

/// Unix time in microseconds as timestamp() writes it; 0 gives "".
std::string timestamp_us(std::int64_t unix_us);

/// The UTC hour, "2026112109", as job_progress_overview's name has it.
std::string utc_hour(std::chrono::system_clock::time_point time);

/// Lines after the first are indented, so that no text can pass for a log line of its own; ends
/// with one newline.
std::string log_line(std::string_view stamp, std::string_view text);

/// The line of an error's text that tells most: the last of a Python traceback, else the first.
std::string_view telling_line(std::string_view text);

}  // namespace prs::logs
