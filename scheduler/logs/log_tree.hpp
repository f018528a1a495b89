// The log tree of a job (section L of docs/semantics.md), under <output>/logs. The orchestrator
// owns one LogTree; workers write their own files through the paths below.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prs::logs {

/// Where each file of the tree lies. Names are PRS's.
class Paths {
 public:
  explicit Paths(std::filesystem::path logs) : logs_(std::move(logs)) {}
  const std::filesystem::path& root() const { return logs_; }
  std::filesystem::path readme() const;      ///< readme.txt
  std::filesystem::path job_result() const;  ///< job_result.txt
  std::filesystem::path overview(
      std::string_view yyyymmddhh) const;           ///< job_progress_overview.*.txt
  std::filesystem::path master(int restart) const;  ///< sys/master_role[.N].txt
  std::filesystem::path system_error(int node, std::string_view process) const;
  std::filesystem::path worker(int node,
                               std::string_view process) const;  ///< sys/node/N/processNNN.txt
  std::filesystem::path worker_stdout(int node, std::string_view process) const;
  std::filesystem::path worker_stderr(int node, std::string_view process) const;
  std::filesystem::path worker_profile(int node, std::string_view process) const;
  std::filesystem::path metrics() const;                   ///< user/metrics.prom
  std::filesystem::path entry_log_folder(int node) const;  ///< user/entry_script_log/N
  std::filesystem::path entry_log(int node, std::string_view process) const;
  std::filesystem::path user_stdout(int node, std::string_view process) const;
  std::filesystem::path user_stderr(int node, std::string_view process) const;
  std::filesystem::path user_error(int node, std::string_view process) const;  ///< user/error/N/...
  std::filesystem::path user_error_summary() const;                            ///< user/error.txt
  std::filesystem::path job_report_folder() const;                             ///< sys/job_report
  std::filesystem::path processed_mini_batches() const;
  std::filesystem::path process_summary() const;
  std::filesystem::path node_summary() const;
  std::filesystem::path perf_folder(int node) const;  ///< perf/N

 private:
  std::filesystem::path logs_;
};

/// The end of one try, as the per-process log and processed_mini-batches.csv tell it.
struct TryReport {
  std::int64_t mini_batch = 0;
  int picked_count = 1;  ///< Which try this was, from 1.
  int node = 0;
  std::string process;  ///< "process000"
  std::int64_t pid = 0;
  std::string address;        ///< Of the node; "": this machine's host name.
  std::int64_t start_us = 0;  ///< Unix time in microseconds.
  std::int64_t total = 0;
  std::int64_t succeeded = 0;
  std::int64_t failed = 0;
  double elapsed_s = 0;     ///< Wall time of the try.
  double process_s = 0;     ///< CPU time.
  double run_method_s = 0;  ///< Wall time of run() itself.
  std::string status;       ///< "RUN_DONE", "RUN_TIMEOUT", ...; anything but RUN_DONE failed.
  std::string error_category;
  std::string error_message;
  std::string detail_json;  ///< {"files": [...]} or {"file":..,"first":..,"count":..}
};

/// One worker process's life, for process_summary.csv. What it did is counted by LogTree itself,
/// from the tries.
struct ProcessReport {
  int node = 0;
  std::string process;
  std::int64_t pid = 0;
  std::string gpus;  ///< The value of CUDA_VISIBLE_DEVICES it was given.
  std::int64_t start_us = 0;
  std::int64_t end_us = 0;  ///< 0 while it runs.
  std::string end;  ///< "shutdown", "killed: RUN_TIMEOUT", "exit code 3", "signal 9 (Killed)", ...
};

/// What job_result.txt and the last lines on stderr say (J2).
struct JobResult {
  std::string status;  ///< "Completed", "Failed", "Canceled"
  std::string reason;  ///< One line.
  /// Root cause: exception or signal, first failing item, file:line, log path. Each a line.
  std::vector<std::string> root_cause;
  std::vector<std::string> next_steps;
  std::int64_t mini_batches = 0, mini_batches_failed = 0;
  std::int64_t items = 0, items_succeeded = 0, items_failed = 0;
  double seconds = 0;
  std::string output;
};

/// What a line is worth; a step's logging_level says from which on lines are written.
enum class Level { kDebug, kInfo, kWarning };

/// Writes the orchestrator's files. Not thread-safe.
///
/// A job does not die of its logs: after construction nothing throws for a file that cannot be
/// written (a full disk, say). The text is dropped, problem() tells, and later text is tried again.
/// No file is left with half a line or half a CSV record where the file system lets us cut it.
///
/// Lines of progress (try_ended, process_started) wait in memory until flush(); everything else,
/// and a try that failed, is in its file when the call returns.
class LogTree {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  /// Creates the folders, readme.txt and the orchestrator's files. `restart` is 0 for a new job,
  /// the count of resumes else: files are continued then, and an old job_result.txt is removed.
  /// Throws io naming the file.
  LogTree(const Paths& paths, int restart, Clock clock = std::chrono::system_clock::now);
  /// Writes what is buffered.
  ~LogTree();
  const Paths& paths() const;

  /// Creates the folders in which the workers of a node open their files.
  void add_node(int node);

  /// Lines of less than this are left out of sys/master_role.txt and sys/node/. The other files are
  /// no matter of levels: reports and progress are whole, errors are errors. kInfo at first.
  void set_level(Level least);
  bool writes(Level level) const;

  /// sys/master_role.txt, with a UTC timestamp.
  void master(std::string_view line, Level level = Level::kInfo);
  void overview(std::string_view line);  ///< job_progress_overview, rotated daily (UTC).
  void system_error(int node, std::string_view process, std::string_view text);
  /// user/error/<node>/<process>.txt, whole, and one line in user/error.txt. `stage`: "load",
  /// "init", "run of mini-batch 17", ... `summary`: that line, when `text` has a better one than
  /// its first (a Python trace: its last).
  void user_error(int node, std::string_view process, std::string_view stage, std::string_view text,
                  std::string_view summary = {});
  void process_started(const ProcessReport& report);
  void try_ended(const TryReport& report);  ///< processed_mini-batches.csv and the process's log.
  void process_ended(const ProcessReport& report);
  /// job_result.txt, summaries, last line of the overview and of master_role.
  void finish(const JobResult& result);

  /// To be called from the orchestrator's loop, as often as it likes: writes what is buffered when
  /// 200 ms have passed since the last time, and the summaries when they changed and a second has.
  void flush();

  /// The first thing that could not be written and why, to be shown once; "" when all is well.
  std::string problem() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// "2026-11-21 09:41:07.123 UTC".
std::string timestamp(std::chrono::system_clock::time_point time);

/// The text of job_result.txt, also for stderr. `paths` tells where to look: only files that are
/// there and not empty are named.
std::string job_result_text(const JobResult& result, const Paths& paths);

/// The files of a job's tree that matter, for `prs-gpu logs`, in the order to read them; only those
/// that exist and are not empty. `errors_only`: user and system errors and what was written to
/// stderr. `worker`: the files of that process number, on every node; -1: the job's own files.
std::vector<std::filesystem::path> find_logs(const Paths& paths, bool errors_only, int worker);

}  // namespace prs::logs
