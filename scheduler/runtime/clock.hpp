// The time that logs and records tell.
#pragma once

#include <chrono>
#include <cstdint>

namespace prs::runtime {

/// Unix time in microseconds.
inline std::int64_t unix_us() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace prs::runtime
