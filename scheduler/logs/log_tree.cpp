#include "logs/log_tree.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "logs/csv.hpp"
#include "logs/log_files.hpp"
#include "logs/readme.hpp"
#include "logs/summaries.hpp"
#include "logs/text.hpp"
#include "prs/error.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;
using TimePoint = std::chrono::system_clock::time_point;

constexpr auto kFlushInterval = std::chrono::milliseconds(200);
constexpr auto kSummaryInterval = std::chrono::seconds(1);

constexpr std::string_view kProcessedHeader =
    "Mini-batch Id,Picked Count,Process,Process Start Time,Total,Succeeded,Failed,Elapsed Seconds,"
    "Process Seconds,Run Method Seconds,Status,Error Category,Error Message,"
    "Mini-batch Detail (JSON)\n";

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void create_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw Error(ErrorCode::kIo,
                fmt::format("{}: cannot create the folder: {}", folder.string(), error.message()));
  }
}

/// Today's overview, which a resumed job continues; "" when there is none.
std::string overview_hour_of_today(const Paths& paths, const std::string& now_hour) {
  for (int hour = 23; hour >= 0; --hour) {
    std::string candidate = fmt::format("{}{:02}", now_hour.substr(0, 8), hour);
    std::error_code error;
    if (fs::is_regular_file(paths.overview(candidate), error)) return candidate;
  }
  return {};
}

bool has_files(const fs::path& folder) {
  std::error_code error;
  return fs::is_directory(folder, error) && !fs::is_empty(folder, error) && !error;
}

/// An error whole, under a line that says when and of what.
std::string error_block(std::string_view stamp, std::string_view stage, std::string_view text) {
  std::string block = fmt::format("==== {}: {} ====\n{}", stamp, stage, text);
  if (!block.ends_with('\n')) block += '\n';
  return block + '\n';
}

}  // namespace

constexpr std::size_t kMostPaths = 256;

struct LogTree::State {
  State(const Paths& the_paths, int the_restart, Clock the_clock)
      : paths(the_paths),
        restart(the_restart),
        clock(std::move(the_clock)),
        summaries(the_restart),
        master_path(the_paths.master(the_restart)),
        processed_path(the_paths.processed_mini_batches()) {}

  std::string now() const { return timestamp(clock()); }

  void write_summaries(TimePoint time) {
    const std::int64_t now_us =
        std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
    files.replace(paths.process_summary(), summaries.process_summary(now_us));
    files.replace(paths.node_summary(), summaries.node_summary(now_us));
    summaries_changed = false;
    last_summaries = time;
  }

  /// Every try asks for it, and putting a path together takes longer than the line itself.
  const fs::path& worker_path(int node, const std::string& process) {
    const auto found = worker_paths.find({node, process});
    if (found != worker_paths.end()) return found->second;
    // A job may replace workers for ever.
    if (worker_paths.size() == kMostPaths) worker_paths.clear();
    return worker_paths.emplace(std::pair(node, process), paths.worker(node, process))
        .first->second;
  }

  Paths paths;
  int restart;
  Clock clock;
  LogFiles files;
  Summaries summaries;
  fs::path master_path;
  fs::path processed_path;
  std::map<std::pair<int, std::string>, fs::path> worker_paths;  ///< Of those seen last.
  std::string overview_hour;
  std::string host = host_name();
  Level level = Level::kInfo;
  bool summaries_changed = false;
  std::optional<TimePoint> last_flush;
  std::optional<TimePoint> last_summaries;
};

LogTree::LogTree(const Paths& paths, int restart, Clock clock)
    : state_(std::make_unique<State>(paths, restart, std::move(clock))) {
  for (const char* folder : {"sys/error", "sys/node", "user/error", "user/entry_script_log",
                             "user/stdout", "user/stderr", "perf"}) {
    create_folder(paths.root() / folder);
  }
  create_folder(paths.job_report_folder());
  State& s = *state_;
  const std::string hour = utc_hour(s.clock());
  if (restart > 0) {
    cut_torn_csv_record(s.processed_path);
    s.summaries.continue_from(text_of(paths.process_summary()), text_of(paths.node_summary()));
    s.overview_hour = overview_hour_of_today(paths, hour);
    // The job is not at its end any more.
    std::error_code ignored;
    fs::remove(paths.job_result(), ignored);
  }
  if (s.overview_hour.empty()) s.overview_hour = hour;
  s.files.replace(paths.readme(), readme_text());
  if (!has_text(s.processed_path)) s.files.append_now(s.processed_path, kProcessedHeader);
  master(restart == 0 ? "The orchestrator begins."
                      : fmt::format("The orchestrator begins again, restart {}.", restart));
  s.write_summaries(s.clock());
  if (!s.files.problem().empty()) throw Error(ErrorCode::kIo, s.files.problem());
}

LogTree::~LogTree() {
  try {
    if (state_->summaries_changed) state_->write_summaries(state_->clock());
  } catch (...) {  // Out of memory at the very end: the summaries stay as they were a second ago.
  }
}

const Paths& LogTree::paths() const { return state_->paths; }

void LogTree::add_node(int node) {
  for (const fs::path& file :
       {state_->paths.worker(node, ""), state_->paths.entry_log(node, ""),
        state_->paths.user_stdout(node, ""), state_->paths.user_stderr(node, "")}) {
    try {
      create_folder(file.parent_path());
    } catch (const Error& error) {
      state_->files.remember(error.message());
    }
  }
}

void LogTree::set_level(Level least) { state_->level = least; }

bool LogTree::writes(Level level) const { return level >= state_->level; }

void LogTree::master(std::string_view line, Level level) {
  if (!writes(level)) return;
  state_->files.append_now(state_->master_path, log_line(state_->now(), line));
}

void LogTree::overview(std::string_view line) {
  State& s = *state_;
  const TimePoint time = s.clock();
  std::string hour = utc_hour(time);
  if (hour.substr(0, 8) != s.overview_hour.substr(0, 8)) {
    s.files.close(s.paths.overview(s.overview_hour));
    s.overview_hour = std::move(hour);
  }
  s.files.append_now(s.paths.overview(s.overview_hour), log_line(timestamp(time), line));
}

void LogTree::system_error(int node, std::string_view process, std::string_view text) {
  State& s = *state_;
  s.files.append_now(s.paths.system_error(node, process),
                     error_block(s.now(), fmt::format("{}/{}", node, process), text));
  master(fmt::format("error of {}/{}: {} (whole: sys/error/{}/{}.txt)", node, process,
                     telling_line(text), node, process),
         Level::kWarning);
}

void LogTree::user_error(int node, std::string_view process, std::string_view stage,
                         std::string_view text, std::string_view summary) {
  if (summary.empty()) summary = telling_line(text);
  State& s = *state_;
  const std::string stamp = s.now();
  s.files.append_now(s.paths.user_error(node, process), error_block(stamp, stage, text));
  s.files.append_now(s.paths.user_error_summary(),
                     log_line(stamp, fmt::format("{}/{} {}: {} (whole: user/error/{}/{}.txt)", node,
                                                 process, stage, summary, node, process)));
}

void LogTree::process_started(const ProcessReport& report) {
  State& s = *state_;
  s.summaries.started(report);
  s.summaries_changed = true;
  if (!writes(Level::kInfo)) return;
  s.files.append(s.paths.worker(report.node, report.process),
                 log_line(s.now(), fmt::format("{} started: pid {}, CUDA_VISIBLE_DEVICES \"{}\"",
                                               report.process, report.pid, report.gpus)));
}

void LogTree::try_ended(const TryReport& report) {
  State& s = *state_;
  const bool failed = report.status != "RUN_DONE";
  const std::string start = timestamp_us(report.start_us);

  const std::string elapsed = fmt::format("{:.6f}", report.elapsed_s);
  const std::string process_time = fmt::format("{:.6f}", report.process_s);
  const std::string run_method = fmt::format("{:.6f}", report.run_method_s);

  std::string row =
      fmt::format("{},{},{}/{},{},{},{},{},{},{},{},", report.mini_batch, report.picked_count,
                  report.node, report.process, start, report.total, report.succeeded, report.failed,
                  elapsed, process_time, run_method);
  append_csv_field(row, report.status);
  for (const std::string* field :
       {&report.error_category, &report.error_message, &report.detail_json}) {
    row += ',';
    append_csv_field(row, *field);
  }
  row += '\n';

  std::string line = fmt::format(
      "mini-batch {} (try {}) {}: total {}, succeeded {}, failed {}; start {}, duration {} s, "
      "process time {} s, run method {} s; address {}, pid {}",
      report.mini_batch, report.picked_count, report.status, report.total, report.succeeded,
      report.failed, start, elapsed, process_time, run_method,
      report.address.empty() ? s.host : report.address, report.pid);
  if (failed) {
    line += fmt::format("; {}: {}", report.error_category.empty() ? "error" : report.error_category,
                        telling_line(report.error_message));
  }
  line = log_line(s.now(), line);

  const fs::path& worker = s.worker_path(report.node, report.process);
  if (failed) {
    s.files.append_now(s.processed_path, row);
    s.files.append_now(worker, line);
  } else {
    s.files.append(s.processed_path, row);
    if (writes(Level::kInfo)) s.files.append(worker, line);
  }
  s.summaries.tried(report);
  s.summaries_changed = true;
}

void LogTree::process_ended(const ProcessReport& report) {
  State& s = *state_;
  s.summaries.ended(report);
  s.summaries_changed = true;
  const fs::path worker = s.paths.worker(report.node, report.process);
  if (writes(report.end == "shutdown" ? Level::kInfo : Level::kWarning)) {
    s.files.append(worker,
                   log_line(s.now(), fmt::format("{} ended: {}", report.process,
                                                 report.end.empty() ? "not known" : report.end)));
  }
  // A job may replace workers for ever; of those that are gone nothing is kept but a summary row.
  s.files.close(worker);
  s.files.close(s.paths.user_error(report.node, report.process));
  s.files.close(s.paths.system_error(report.node, report.process));
}

void LogTree::finish(const JobResult& result) {
  State& s = *state_;
  s.files.flush();
  s.write_summaries(s.clock());
  overview(fmt::format("The job has ended. {}: {}", result.status, result.reason));
  std::string text = job_result_text(result, s.paths);
  if (!s.files.problem().empty()) {
    text += fmt::format("\nThe logs are not complete: {}\n", s.files.problem());
  }
  s.files.replace(s.paths.job_result(), text);
  master("The job has ended.\n" + text, Level::kWarning);
}

void LogTree::flush() {
  State& s = *state_;
  const TimePoint time = s.clock();
  // A clock that was set back must not stop the writing.
  const auto due = [time](const std::optional<TimePoint>& last, auto interval) {
    return !last || time < *last || time - *last >= interval;
  };
  if (due(s.last_flush, kFlushInterval)) {
    s.files.flush();
    s.last_flush = time;
  }
  if (s.summaries_changed && due(s.last_summaries, kSummaryInterval)) s.write_summaries(time);
}

std::string LogTree::problem() const { return state_->files.problem(); }

std::string job_result_text(const JobResult& result, const Paths& paths) {
  std::string text = fmt::format(
      "Status:       {}\nReason:       {}\nMini-batches: {}, {} of them failed\n"
      "Items:        {}: {} succeeded, {} failed\nDuration:     {}\nOutput:       {}\n",
      result.status, result.reason, result.mini_batches, result.mini_batches_failed, result.items,
      result.items_succeeded, result.items_failed,
      result.seconds < 60 ? fmt::format("{:.2f} s", result.seconds) : duration_text(result.seconds),
      result.output);
  const auto add_list = [&text](std::string_view title, const std::vector<std::string>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n{}:\n", title);
    for (const std::string& line : lines) text += "  " + line + '\n';
  };
  add_list("Root cause", result.root_cause);

  std::vector<std::string> places;
  const auto add_place = [&places](bool there, const fs::path& path, std::string_view what) {
    if (there) places.push_back(fmt::format("{}: {}", path.string(), what));
  };
  const fs::path system_errors = paths.root() / "sys/error";
  add_place(has_text(paths.user_error_summary()), paths.user_error_summary(),
            "errors of the entry, one line each");
  add_place(has_files(system_errors), system_errors, "errors of the system itself");
  add_place(has_text(paths.processed_mini_batches()), paths.processed_mini_batches(),
            "every try of every mini-batch");
  add_place(has_text(paths.process_summary()), paths.process_summary(), "what each worker did");
  add_place(has_text(paths.readme()), paths.readme(), "all other files, explained");
  add_list("Where to look", places);
  add_list("Next steps", result.next_steps);
  return text;
}

}  // namespace prs::logs
