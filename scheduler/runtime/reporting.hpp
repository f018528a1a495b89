// How a job is told about: its status while it runs, its result, its root cause (J2, U1, U2).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/step.hpp"
#include "dataset/dataset.hpp"
#include "job/job.hpp"
#include "logs/log_tree.hpp"
#include "monitor/progress.hpp"
#include "runtime/job_folder.hpp"
#include "runtime/orchestrator.hpp"
#include "runtime/worker_handle.hpp"

namespace prs::runtime {

class Reporter {
 public:
  Reporter(const config::Step& step, std::string run_id, const logs::LogTree& logs)
      : step_(step), run_id_(std::move(run_id)), logs_(logs) {}

  /// The table of settings (C3), for the log.
  std::vector<std::string> settings_lines() const;

  /// The first failure is taken for the root cause; later ones are only counted.
  void remember_failure(const std::string& what, const std::string& message,
                        const std::string& log);
  /// A worker has finished a mini-batch.
  void count(job::WorkerId worker, std::int64_t items);

  monitor::JobStatus status(const job::Job& job,
                            const std::map<job::WorkerId, WorkerHandle>& workers, job::Time now,
                            const job::EndJob* end, bool stopping) const;
  /// A line for job_progress_overview: progress, or what the workers do as long as there is none.
  std::string overview(const monitor::JobStatus& status) const;
  RunOutcome outcome(const job::Counts& counts, const job::EndJob& end, const JobFolder& folder,
                     job::Time now) const;

 private:
  struct Work {
    std::int64_t mini_batches = 0;
    std::int64_t items = 0;
  };

  const config::Step& step_;
  std::string run_id_;
  const logs::LogTree& logs_;
  std::vector<std::string> root_cause_;
  std::int64_t failures_ = 0;
  std::map<job::WorkerId, Work> work_;
};

/// "completed", "failed", "canceled".
const char* status_word(job::Outcome outcome);

/// Replaces a file, such as status.json, so that a reader sees the old or the new one, whole. A
/// full disk is ignored.
void replace_file(const std::filesystem::path& path, std::string_view text);

/// {"files": [...]} or {"file": ..., "first": ..., "count": ...}.
std::string describe_json(const dataset::MiniBatch& mini_batch);

/// What the kernel says of a process: " (state D, waits in io_schedule)", or "".
std::string kernel_state(pid_t pid);

logs::Level log_level(config::LoggingLevel level);

job::Settings job_settings(const config::Step& step, int workers, int first_process);

/// The number after the highest processNNN that has a log: W2 holds across restarts, too.
int first_process_number(const logs::Paths& paths);

}  // namespace prs::runtime
