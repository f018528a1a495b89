#include <fmt/format.h>

#include "logs/log_tree.hpp"

namespace prs::logs {
namespace {

namespace fs = std::filesystem;

fs::path of_process(const fs::path& folder, int node, std::string_view process,
                    std::string_view suffix) {
  return folder / std::to_string(node) / fmt::format("{}{}", process, suffix);
}

}  // namespace

fs::path Paths::readme() const { return logs_ / "readme.txt"; }
fs::path Paths::job_result() const { return logs_ / "job_result.txt"; }

fs::path Paths::overview(std::string_view yyyymmddhh) const {
  return logs_ / fmt::format("job_progress_overview.{}.txt", yyyymmddhh);
}

fs::path Paths::master(int restart) const {
  return logs_ / "sys" /
         (restart == 0 ? "master_role.txt" : fmt::format("master_role.{}.txt", restart));
}

fs::path Paths::system_error(int node, std::string_view process) const {
  return of_process(logs_ / "sys/error", node, process, ".txt");
}

fs::path Paths::worker(int node, std::string_view process) const {
  return of_process(logs_ / "sys/node", node, process, ".txt");
}

fs::path Paths::worker_stdout(int node, std::string_view process) const {
  return of_process(logs_ / "sys/node", node, process, ".stdout.txt");
}

fs::path Paths::worker_stderr(int node, std::string_view process) const {
  return of_process(logs_ / "sys/node", node, process, ".stderr.txt");
}

fs::path Paths::worker_profile(int node, std::string_view process) const {
  return of_process(logs_ / "sys/node", node, process, ".profile");
}

fs::path Paths::metrics() const { return logs_ / "user/metrics.prom"; }

fs::path Paths::entry_log_folder(int node) const {
  return logs_ / "user/entry_script_log" / std::to_string(node);
}

fs::path Paths::entry_log(int node, std::string_view process) const {
  return of_process(logs_ / "user/entry_script_log", node, process, ".log.txt");
}

fs::path Paths::user_stdout(int node, std::string_view process) const {
  return of_process(logs_ / "user/stdout", node, process, ".stdout.txt");
}

fs::path Paths::user_stderr(int node, std::string_view process) const {
  return of_process(logs_ / "user/stderr", node, process, ".stderr.txt");
}

fs::path Paths::user_error(int node, std::string_view process) const {
  return of_process(logs_ / "user/error", node, process, ".txt");
}

fs::path Paths::user_error_summary() const { return logs_ / "user/error.txt"; }
fs::path Paths::job_report_folder() const { return logs_ / "sys/job_report"; }

fs::path Paths::processed_mini_batches() const {
  return job_report_folder() / "processed_mini-batches.csv";
}

fs::path Paths::process_summary() const { return job_report_folder() / "process_summary.csv"; }
fs::path Paths::node_summary() const { return job_report_folder() / "node_summary.csv"; }
fs::path Paths::perf_folder(int node) const { return logs_ / "perf" / std::to_string(node); }

}  // namespace prs::logs
