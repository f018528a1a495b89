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
};

struct JobStatus {
  std::string run_id;
  std::string status;  ///< "running", "stopping", "completed", ...
  std::string reason;
  bool listing = true;  ///< Mini-batches are still being found.
  std::int64_t mini_batches = 0, done = 0, failed = 0;
  std::int64_t items = 0, items_succeeded = 0, items_failed = 0;
  double elapsed_s = 0;
  double items_per_s = 0;
  double remaining_s = -1;  ///< -1: unknown.
  std::vector<WorkerStatus> workers;
};

/// {"run_id":..., ...}; the file <output>/.prs/status.json that `prs-gpu status` reads.
std::string to_json(const JobStatus& status);
JobStatus status_from_json(const std::string& text);

/// "Processed 12 of 100 mini-batches in 0:00:05, estimated remaining 0:00:38".
std::string overview_line(const JobStatus& status);

/// The lines to draw on a terminal `columns` wide.
std::vector<std::string> terminal_lines(const JobStatus& status, int columns);

/// The same for a person who asked: `prs-gpu status`.
std::string report(const JobStatus& status);

/// What the workers are doing while nothing is done yet: "process000 init since 12 s, ..." (U2).
std::string activity(const JobStatus& status);

}  // namespace prs::monitor
