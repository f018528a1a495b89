// `prs-gpu status`, `runs` and `logs`: questions about jobs, from any terminal.

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "commands.hpp"
#include "errors.hpp"
#include "interrupt.hpp"
#include "logs/log_tree.hpp"
#include "monitor/progress.hpp"
#include "runtime/fd.hpp"
#include "runtime/job_folder.hpp"
#include "store/history.hpp"
#include "store/journal.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;

runtime::JobFolder job_folder(const fs::path& output) {
  const runtime::JobFolder folder(output);
  if (!folder.has_job()) {
    fail(ErrorCode::kInvalidArgument, "{} holds no job of prs-gpu (no {})", output.string(),
         (folder.store() / "job.sqlite").string());
  }
  return folder;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

int status(const fs::path& output, const std::string& format) {
  const runtime::JobFolder folder = job_folder(output);
  const std::string text = read_file(folder.status());
  if (text.empty()) {
    fail(ErrorCode::kUnavailable, "{}: the job has not written its status yet",
         folder.status().string());
  }
  monitor::JobStatus job = monitor::status_from_json(text);
  const bool running = store::Journal::in_use(folder.store());
  if (!running && (job.status == "running" || job.status == "stopping")) {
    job.status = "killed";
    job.reason =
        fmt::format("its process is gone; continue with: prs-gpu resume {}", output.string());
    job.workers.clear();
  }
  if (format == "json") {
    fmt::print("{}\n", monitor::to_json(job));
  } else {
    fmt::print("{}", monitor::report(job));
  }
  return kExitDone;
}

std::string moment(std::int64_t unix_us) {
  if (unix_us == 0) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}",
                     fmt::gmtime(static_cast<std::time_t>(unix_us / 1'000'000)));
}

int runs(std::int64_t limit, const std::string& format) {
  const std::vector<store::RunRecord> records = store::History().recent(limit);
  if (format == "json") {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const store::RunRecord& run : records) {
      list.push_back({{"run_id", run.run_id},
                      {"name", run.name},
                      {"status", run.status},
                      {"reason", run.reason},
                      {"output", run.output},
                      {"created", moment(run.created_us)},
                      {"finished", moment(run.finished_us)},
                      {"mini_batches", run.mini_batches},
                      {"items", run.items},
                      {"failed_items", run.failed_items}});
    }
    fmt::print("{}\n", list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return kExitDone;
  }
  if (records.empty()) {
    fmt::print(stderr, "prs-gpu: no runs in {}\n", store::History::default_folder().string());
    return kExitDone;
  }
  fmt::print("{:<19}  {:<10} {:>9} {:>9}  {:<40}  {}\n", "started (UTC)", "status", "items",
             "failed", "run", "output");
  for (const store::RunRecord& run : records) {
    fmt::print("{:<19}  {:<10} {:>9} {:>9}  {:<40}  {}\n", moment(run.created_us), run.status,
               run.items, run.failed_items, run.run_id, run.output);
  }
  return kExitDone;
}

/// Prints what a file grows by, from its beginning, until Ctrl-C or the job's end. It need not be
/// there yet; its folder is.
void follow(const fs::path& file, const runtime::JobFolder& folder) {
  const InterruptGuard guard;
  std::ifstream stream;
  const runtime::Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(watch.get(), file.parent_path().c_str(), IN_MODIFY | IN_CREATE);
  while (true) {
    // Asked first: what is written before the end is read after it.
    const bool running = store::Journal::in_use(folder.store());
    if (!stream.is_open()) stream.open(file, std::ios::binary);
    for (std::string line; std::getline(stream, line);) fmt::print("{}\n", line);
    std::fflush(stdout);
    if (stream.is_open()) stream.clear();
    if (!running || interrupted()) return;
    pollfd one{watch.get(), POLLIN, 0};
    ::poll(&one, 1, 1000);
    char events[4096];
    while (::read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

struct LogsOptions {
  fs::path output;
  bool errors = false;
  int worker = -1;
  bool follow = false;
  bool paths = false;
};

/// The one file that tells most while a job runs: its progress (empty: none yet), what a worker
/// does, or the errors.
fs::path file_to_follow(const logs::Paths& paths, const LogsOptions& options) {
  if (options.worker >= 0) {
    const std::string process = fmt::format("process{:03}", options.worker);
    return options.errors ? paths.user_error(0, process) : paths.worker(0, process);
  }
  if (options.errors) return paths.user_error_summary();
  fs::path newest;
  for (const fs::path& file : logs::find_logs(paths, false, -1)) {
    if (file.filename().native().starts_with("job_progress_overview.")) newest = file;
  }
  return newest;
}

int logs(const LogsOptions& options) {
  const runtime::JobFolder folder = job_folder(options.output);
  const logs::Paths paths(folder.logs());
  const fs::path followed = options.follow ? file_to_follow(paths, options) : fs::path();
  if (!followed.empty()) {
    fmt::print(stderr, "==> {} <==\n", followed.string());
    follow(followed, folder);
    return kExitDone;
  }
  const std::vector<fs::path> files = logs::find_logs(paths, options.errors, options.worker);
  if (files.empty()) {
    fmt::print(
        stderr, "prs-gpu: {}\n",
        options.errors ? "no errors in the logs" : "no such logs in " + folder.logs().string());
    return kExitDone;
  }
  for (const fs::path& file : files) {
    if (options.paths) {
      fmt::print("{}\n", file.string());
    } else {
      fmt::print("==> {} <==\n{}\n", file.string(), read_file(file));
    }
  }
  return kExitDone;
}

}  // namespace

void add_status(CLI::App& app, Command& chosen) {
  struct Options {
    fs::path output;
    std::string format = "text";
  };
  CLI::App* command = app.add_subcommand("status", "How a running or finished job stands");
  auto options = std::make_shared<Options>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command->add_option("--format", options->format, "text, json")
      ->check(CLI::IsMember({"text", "json"}));
  command->footer(
      "\nExamples:\n"
      "  prs-gpu status out\n"
      "  prs-gpu status out --format json\n");
  command->callback([options, &chosen] {
    chosen = [options] { return status(options->output, options->format); };
  });
}

void add_runs(CLI::App& app, Command& chosen) {
  struct Options {
    std::int64_t limit = 20;
    std::string format = "text";
  };
  CLI::App* command = app.add_subcommand("runs", "The runs of this user, newest first");
  auto options = std::make_shared<Options>();
  command->add_option("-n,--limit", options->limit, "how many (20)")
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--format", options->format, "text, json")
      ->check(CLI::IsMember({"text", "json"}));
  command->callback(
      [options, &chosen] { chosen = [options] { return runs(options->limit, options->format); }; });
}

void add_logs(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("logs", "The right log files of a job");
  auto options = std::make_shared<LogsOptions>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command->add_flag("--errors", options->errors, "what went wrong, in the order to read it");
  command->add_option("--worker", options->worker, "the files of processN")
      ->type_name("N")
      ->check(CLI::Range(0, 1'000'000));
  command->add_flag("--follow", options->follow,
                    "print progress (errors, a worker's log) until the job ends");
  command->add_flag("--paths", options->paths, "file names only");
  command->footer(
      "\nExamples:\n"
      "  prs-gpu logs out --errors\n"
      "  prs-gpu logs out --worker 3\n"
      "  prs-gpu logs out --follow\n");
  command->callback([options, &chosen] { chosen = [options] { return logs(*options); }; });
}

}  // namespace prs::cli
