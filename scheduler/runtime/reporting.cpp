#include "runtime/reporting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "entry/json_text.hpp"

namespace prs::runtime {
namespace {

job::Duration nanoseconds(config::Seconds seconds) {
  return std::chrono::duration_cast<job::Duration>(seconds);
}

job::Compat job_compat(config::Compat compat) {
  switch (compat) {
    case config::Compat::kOurs:
      return job::Compat::kOurs;
    case config::Compat::kV1:
      return job::Compat::kV1;
    case config::Compat::kV2:
      return job::Compat::kV2;
    case config::Compat::kStrict:
      return job::Compat::kStrict;
  }
  return job::Compat::kOurs;
}

monitor::WorkerPhase shown_phase(job::WorkerPhase phase) {
  switch (phase) {
    case job::WorkerPhase::kLoading:
      return monitor::WorkerPhase::kLoading;
    case job::WorkerPhase::kInit:
      return monitor::WorkerPhase::kInit;
    case job::WorkerPhase::kIdle:
      return monitor::WorkerPhase::kIdle;
    case job::WorkerPhase::kLoadingMiniBatch:
    case job::WorkerPhase::kRun:
      return monitor::WorkerPhase::kRun;
    case job::WorkerPhase::kStopping:
      return monitor::WorkerPhase::kStopping;
  }
  return monitor::WorkerPhase::kStarting;
}

double seconds(job::Time time) { return std::chrono::duration<double>(time).count(); }

int exit_code(const job::Counts& counts, job::Outcome outcome) {
  switch (outcome) {
    case job::Outcome::kCompleted:
      return counts.items_failed + counts.mini_batches_failed > 0 ? kExitIgnoredFailures
                                                                  : kExitCompleted;
    case job::Outcome::kLimitExceeded:
      return kExitLimitExceeded;
    case job::Outcome::kInitOrProgress:
      return kExitInitOrProgress;
    case job::Outcome::kSystemError:
      return kExitSystemError;
    case job::Outcome::kCanceled:
      return kExitCanceled;
  }
  return kExitSystemError;
}

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::vector<std::string> Reporter::settings_lines() const {
  std::vector<std::string> lines;
  std::istringstream table(config::settings_table(step_));
  for (std::string line; std::getline(table, line);) lines.push_back(line);
  return lines;
}

void Reporter::remember_failure(const std::string& what, const std::string& message,
                                const std::string& log) {
  if (failures_++ > 0) return;
  root_cause_.push_back("first failure: " + what);
  if (!message.empty()) root_cause_.push_back(message);
  if (!log.empty()) root_cause_.push_back("see " + log);
}

void Reporter::count(job::WorkerId worker, std::int64_t items) {
  Work& work = work_[worker];
  ++work.mini_batches;
  work.items += items;
}

monitor::JobStatus Reporter::status(const job::Job& job,
                                    const std::map<job::WorkerId, WorkerHandle>& workers,
                                    job::Time now, const job::EndJob* end, bool stopping) const {
  const job::Counts& counts = job.counts();
  monitor::JobStatus status;
  status.run_id = run_id_;
  status.status = end != nullptr ? status_word(end->outcome) : stopping ? "stopping" : "running";
  if (end != nullptr) status.reason = end->reason;
  status.listing = !counts.listed;
  status.mini_batches = counts.mini_batches;
  status.done = counts.mini_batches_done;
  status.failed = counts.mini_batches_failed;
  status.items = counts.items;
  status.items_succeeded = counts.items_succeeded;
  status.items_failed = counts.items_failed;
  status.elapsed_s = seconds(now);
  std::int64_t finished_now = 0;
  for (const auto& [id, work] : work_) finished_now += work.items;
  if (status.elapsed_s > 0) {
    status.items_per_s = static_cast<double>(finished_now) / status.elapsed_s;
  }
  const std::int64_t left = counts.items - counts.items_succeeded - counts.items_failed;
  if (counts.listed && status.items_per_s > 0) {
    status.remaining_s = static_cast<double>(left) / status.items_per_s;
  }
  for (const job::WorkerView& view : job.workers()) {
    monitor::WorkerStatus worker;
    worker.node = view.id.node;
    worker.process = job::process_name(view.id);
    worker.phase = shown_phase(view.phase);
    worker.mini_batch = view.mini_batch;
    worker.phase_s = seconds(now - view.since);
    const auto handle = workers.find(view.id);
    if (handle != workers.end()) {
      worker.pid = handle->second.report.pid;
      worker.gpus = handle->second.report.gpus;
    }
    const auto work = work_.find(view.id);
    if (work != work_.end()) {
      worker.mini_batches = work->second.mini_batches;
      worker.items = work->second.items;
    }
    status.workers.push_back(std::move(worker));
  }
  return status;
}

std::string Reporter::overview(const monitor::JobStatus& status) const {
  if (status.done + status.failed > 0) return monitor::overview_line(status);
  return "no mini-batch processed yet: " + monitor::activity(status);
}

RunOutcome Reporter::outcome(const job::Counts& counts, const job::EndJob& end,
                             const JobFolder& folder, job::Time now) const {
  RunOutcome outcome;
  outcome.exit_code = exit_code(counts, end.outcome);
  logs::JobResult& result = outcome.result;
  const bool completed = end.outcome == job::Outcome::kCompleted;
  const bool canceled = end.outcome == job::Outcome::kCanceled;
  result.status = completed ? "Completed" : canceled ? "Canceled" : "Failed";
  result.reason = end.reason;
  if (!completed || counts.items_failed > 0) result.root_cause = root_cause_;
  if (failures_ > 1 && !result.root_cause.empty()) {
    result.root_cause.push_back(fmt::format("{} more failures are in {}", failures_ - 1,
                                            logs_.paths().user_error_summary().string()));
  }
  if (!completed) {
    result.next_steps.push_back(
        fmt::format("continue from the {} accepted mini-batches: prs-gpu resume {}",
                    counts.mini_batches_done, folder.output().string()));
    if (step_.output_action == config::OutputAction::kAppendRow && counts.mini_batches_done > 0) {
      result.next_steps.push_back("rows accepted so far: " + folder.result(step_).string() +
                                  ".partial");
    }
  }
  result.mini_batches = counts.mini_batches;
  result.mini_batches_failed = counts.mini_batches_failed;
  result.items = counts.items;
  result.items_succeeded = counts.items_succeeded;
  result.items_failed = counts.items_failed;
  result.seconds = seconds(now);
  if (step_.output_action == config::OutputAction::kAppendRow && completed) {
    result.output = folder.result(step_).string();
  }
  return outcome;
}

const char* status_word(job::Outcome outcome) {
  switch (outcome) {
    case job::Outcome::kCompleted:
      return "completed";
    case job::Outcome::kCanceled:
      return "canceled";
    default:
      return "failed";
  }
}

void replace_file(const std::filesystem::path& path, std::string_view text) {
  const std::filesystem::path next = path.string() + ".new";
  {
    std::ofstream file(next, std::ios::binary | std::ios::trunc);
    file << text;
    if (!file.flush()) return;
  }
  std::error_code ignored;
  std::filesystem::rename(next, path, ignored);
}

std::string describe_json(const dataset::MiniBatch& mini_batch) {
  // The usual case comes with every small mini-batch: without a tree of values.
  if (!mini_batch.is_table() && !mini_batch.is_records() && mini_batch.partition.empty()) {
    std::string text = R"({"files":[)";
    for (const std::string& file : mini_batch.files) {
      text += entry::json_string(file);
      text += ',';
    }
    if (text.back() == ',') text.pop_back();
    return text += "]}";
  }
  nlohmann::ordered_json json;
  for (const auto& [name, value] : mini_batch.partition) json["partition"][name] = value;
  if (mini_batch.is_table()) {
    for (const dataset::TablePiece& piece : mini_batch.pieces) {
      json["pieces"].push_back({{"file", piece.file.string()},
                                {"first", piece.first_record},
                                {"count", piece.record_count}});
    }
  } else if (mini_batch.is_records()) {
    json["file"] = mini_batch.record_file.string();
    json["first"] = mini_batch.first_record;
    json["count"] = mini_batch.record_count;
  } else {
    json["files"] = mini_batch.files;
  }
  // File names need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string kernel_state(pid_t pid) {
  const std::string proc = fmt::format("/proc/{}/", pid);
  std::ifstream file(proc + "status");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("State:")) continue;
    const std::string wait = first_line(proc + "wchan");
    const std::string state = line.substr(line.find_first_not_of(" \t", 6));
    return wait.empty() || wait == "0" ? fmt::format(" (state {})", state)
                                       : fmt::format(" (state {}, waits in {})", state, wait);
  }
  return "";
}

logs::Level log_level(config::LoggingLevel level) {
  switch (level) {
    case config::LoggingLevel::kWarning:
      return logs::Level::kWarning;
    case config::LoggingLevel::kInfo:
      return logs::Level::kInfo;
    case config::LoggingLevel::kDebug:
      return logs::Level::kDebug;
  }
  return logs::Level::kInfo;
}

job::Settings job_settings(const config::Step& step, int workers, int first_process) {
  job::Settings settings;
  settings.node_count = step.node_count;
  settings.processes_per_node = workers;
  settings.first_process = first_process;
  settings.gpus_per_worker = step.gpus_per_worker;
  settings.run_max_try = step.run_max_try;
  settings.run_invocation_timeout = nanoseconds(step.run_invocation_timeout);
  settings.task_overhead_timeout = nanoseconds(step.task_overhead_timeout);
  settings.progress_update_timeout = nanoseconds(step.progress_update_timeout);
  settings.first_task_creation_timeout = nanoseconds(step.first_task_creation_timeout);
  settings.error_threshold = step.error_threshold;
  settings.allowed_failed_count = step.allowed_failed_count;
  settings.allowed_failed_percent = step.allowed_failed_percent;
  settings.append_row = step.output_action == config::OutputAction::kAppendRow;
  settings.strict_return_length = step.strict_return_length;
  settings.fail_on_empty = step.fail_on_empty;
  settings.compat = job_compat(step.compat);
  return settings;
}

int first_process_number(const logs::Paths& paths) {
  int next = 0;
  std::error_code error;
  const std::filesystem::path folder = paths.worker(0, "process000").parent_path();
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("process")) continue;
    next = std::max(next, std::atoi(name.c_str() + 7) + 1);
  }
  return next;
}

}  // namespace prs::runtime
