// A running job on standard error: a bar and a line per worker on a terminal, plain lines every few
// seconds elsewhere, and the last words (J2).
#pragma once

#include <chrono>
#include <string>

#include "logs/log_tree.hpp"
#include "monitor/progress.hpp"

namespace prs::cli {

/// Not thread-safe.
class JobDisplay {
 public:
  /// `quiet`: only notes and the result.
  explicit JobDisplay(bool quiet);

  /// The table of limits (C3), before the job starts.
  void limits(const std::string& table) const;
  void show(const monitor::JobStatus& status);
  void note(const std::string& text);
  /// Status, counts, root cause and next steps: the last lines on standard error.
  void result(const logs::JobResult& result, const logs::Paths& paths);

 private:
  void erase();

  using Clock = std::chrono::steady_clock;
  bool quiet_;
  bool terminal_;
  int drawn_ = 0;  ///< Lines on the terminal that the next drawing replaces.
  Clock::time_point next_line_;
};

}  // namespace prs::cli
