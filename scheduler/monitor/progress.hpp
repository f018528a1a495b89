// Progress of a job as people see it: a bar with one line per worker on a terminal, plain lines
// every few seconds elsewhere. Pure text; the caller owns the clock and the stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace prs::monitor {

enum class WorkerPhase { kStarting, kLoading, kInit, kIdle, kRun, kStopping };

struct WorkerStatus {
  int node = 0;
  std::string process;  ///< "process000"
  std::int64_t pid = 0;
  std::string gpus;  ///< CUDA_VISIBLE_DEVICES.
  WorkerPhase phase = WorkerPhase::kStarting;
  std::int64_t mini_batch = -1;
  double phase_s = 0;  ///< For how long.
  std::int64_t mini_batches = 0;
  std::int64_t items = 0;

  bool operator==(const WorkerStatus&) const = default;
};

struct JobStatus {
  std::string run_id;
  std::string status;  ///< "running", "stopping", "completed", ...
  std::string reason;
  bool listing = true;  ///< Mini-batches are still being found.
  /// `done`: accepted; `failed`: out of tries, not among `done`.
  std::int64_t mini_batches = 0, done = 0, failed = 0;
  std::int64_t items = 0, items_succeeded = 0, items_failed = 0;
  double elapsed_s = 0;
  double items_per_s = 0;
  double remaining_s = -1;  ///< -1: unknown.
  std::vector<WorkerStatus> workers;

  bool operator==(const JobStatus&) const = default;
};

/// {"run_id":..., ...}; the file <output>/.prs/status.json that `prs-gpu status` reads. Bytes that
/// are not UTF-8 become U+FFFD.
std::string to_json(const JobStatus& status);
/// Keys that are not known are passed over. Throws invalid argument naming the key that is missing
/// or of another type.
JobStatus status_from_json(const std::string& text);

/// "Processed 12 of 100 mini-batches in 0:00:05, estimated remaining 0:00:38", then what failed.
/// Nothing processed yet: "No mini-batch processed yet after 0:00:12: " and activity() (U2).
std::string overview_line(const JobStatus& status);

/// The lines to draw on a terminal `columns` wide: the bar, then the workers. No line takes more
/// than `columns` columns, none holds a control character. With `rows` above 0 at most so many
/// lines: the last then counts the workers that are not shown.
std::vector<std::string> terminal_lines(const JobStatus& status, int columns, int rows = 0);

/// The same for a person who asked: `prs-gpu status`.
std::string report(const JobStatus& status);

/// What the workers are doing: "process000 init since 12 s, process001 starting since 1 s" (U2).
/// More than eight workers are counted by phase, each with the one that is in it longest.
std::string activity(const JobStatus& status);

}  // namespace prs::monitor
