// Runs a job on this machine: carries out the commands of job::Job with real processes, and writes
// journal, output and logs. One thread; listing, workers and signals share one event loop.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "config/step.hpp"
#include "logs/log_tree.hpp"
#include "monitor/progress.hpp"

namespace prs::runtime {

struct RunOptions {
  config::Step step;
  bool resume = false;
  bool identify_inputs = false;  ///< For a later run that might reuse this one's result.
  bool profile = false;          ///< Record where the time goes: logs/perf/profile.{txt,json}
  std::string run_id;
  std::filesystem::path program;  ///< prs-gpu itself, for workers.
  /// Called some times a second with how the job stands, and once at the end.
  std::function<void(const monitor::JobStatus&)> on_progress;
  /// Warnings and other lines for the person at the terminal.
  std::function<void(const std::string&)> on_note;
};

/// J1.
inline constexpr int kExitCompleted = 0;
inline constexpr int kExitIgnoredFailures = 3;
inline constexpr int kExitLimitExceeded = 4;
inline constexpr int kExitInitOrProgress = 5;
inline constexpr int kExitSystemError = 6;
inline constexpr int kExitCanceled = 130;

struct RunOutcome {
  int exit_code = kExitCompleted;
  std::string input_identity;  ///< When asked for and all inputs were listed; else "".
  logs::JobResult result;
  std::string profile;  ///< When asked for: the table.
};

/// Runs the job to its end, whatever that is. SIGINT, SIGTERM and SIGHUP are taken while it runs:
/// the first stops gracefully, the second kills. Throws prs::Error for what is wrong before the
/// first worker starts: output folder, inputs, entry.
RunOutcome run_job(const RunOptions& options);

}  // namespace prs::runtime
