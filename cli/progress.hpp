// The progress line on standard error, for runs that a person watches.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

namespace prs::cli {

/// Shows count, rate and time left when standard error is a terminal and the run takes longer than
/// two seconds. Not thread-safe.
class Progress {
 public:
  /// `noun`: what is counted, "images" say; must outlive the object.
  Progress(std::int64_t total, std::string_view noun);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void update(std::int64_t done);
  /// Removes the line, so that other text may be written.
  void clear();
  double elapsed_s() const;

 private:
  using Clock = std::chrono::steady_clock;
  std::int64_t total_;
  std::string_view noun_;
  bool terminal_;
  bool shown_ = false;
  Clock::time_point start_ = Clock::now();
  Clock::time_point next_;
};

}  // namespace prs::cli
