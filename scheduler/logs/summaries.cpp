#include "logs/summaries.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "logs/csv.hpp"
#include "logs/text.hpp"

namespace prs::logs {
namespace {

constexpr std::string_view kRunning = ",running\n";
constexpr std::string_view kLost = ",lost with the orchestrator\n";

constexpr std::string_view kProcessHeader =
    "Node,Process,Restart,Pid,GPUs,Start Time,End Time,Processed Mini-batches,Failed Tries,"
    "Succeeded Items,Failed Items,Items per Second,Life Seconds,Busy Seconds,Busy Percent,"
    "Process Seconds,Run Method Seconds,End\n";
constexpr std::string_view kNodeHeader =
    "Node,Restart,Processes Started,Processes Running,Processed Mini-batches,Failed Tries,"
    "Succeeded Items,Failed Items,Items per Second,Seconds,Busy Seconds,Process Seconds,"
    "Run Method Seconds,Fewest Mini-batches of a Process,Most Mini-batches of a Process\n";

std::string without_header(std::string_view file) {
  const std::size_t end = file.find('\n');
  return end == std::string_view::npos ? std::string() : std::string(file.substr(end + 1));
}

double seconds_between(std::int64_t start_us, std::int64_t end_us) {
  return std::max(0.0, static_cast<double>(end_us - start_us) / 1e6);
}

double ratio(double amount, double of) { return of > 0 ? amount / of : 0; }

}  // namespace

void Summaries::Work::add(const Work& other) {
  mini_batches += other.mini_batches;
  failed_tries += other.failed_tries;
  succeeded_items += other.succeeded_items;
  failed_items += other.failed_items;
  busy_s += other.busy_s;
  process_s += other.process_s;
  run_method_s += other.run_method_s;
}

void Summaries::continue_from(std::string_view process_summary, std::string_view node_summary) {
  earlier_processes_ = without_header(process_summary);
  earlier_nodes_ = without_header(node_summary);
  for (std::size_t at = 0; (at = earlier_processes_.find(kRunning, at)) != std::string::npos;) {
    earlier_processes_.replace(at, kRunning.size(), kLost);
    at += kLost.size();
  }
}

Summaries::Process& Summaries::process_of(int node, const std::string& process) {
  return processes_[{node, process}];
}

void Summaries::started(const ProcessReport& report) {
  process_of(report.node, report.process).report = report;
}

void Summaries::ended(const ProcessReport& report) {
  process_of(report.node, report.process).report = report;
}

void Summaries::tried(const TryReport& report) {
  Process& process = process_of(report.node, report.process);
  ProcessReport& known = process.report;
  if (known.process.empty()) {
    known.node = report.node;
    known.process = report.process;
    known.pid = report.pid;
    known.start_us = report.start_us;
  }
  Work& work = process.work;
  if (report.status == "RUN_DONE") {
    ++work.mini_batches;
    work.succeeded_items += report.succeeded;
    work.failed_items += report.failed;
  } else {
    ++work.failed_tries;
  }
  work.busy_s += report.elapsed_s;
  work.process_s += report.process_s;
  work.run_method_s += report.run_method_s;
}

std::string Summaries::process_summary(std::int64_t now_us) const {
  std::string text(kProcessHeader);
  text += earlier_processes_;
  for (const auto& [key, process] : processes_) {
    const ProcessReport& report = process.report;
    const Work& work = process.work;
    const double life_s =
        seconds_between(report.start_us, report.end_us != 0 ? report.end_us : now_us);
    text += fmt::format("{},{},{},{},", report.node, report.process, restart_, report.pid);
    append_csv_field(text, report.gpus);
    text += fmt::format(",{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},{:.1f},{:.3f},{:.3f},",
                        timestamp_us(report.start_us), timestamp_us(report.end_us),
                        work.mini_batches, work.failed_tries, work.succeeded_items,
                        work.failed_items, ratio(static_cast<double>(work.succeeded_items), life_s),
                        life_s, work.busy_s, std::min(100.0, 100 * ratio(work.busy_s, life_s)),
                        work.process_s, work.run_method_s);
    if (report.end_us == 0) {
      text += "running";
    } else {
      append_csv_field(text, report.end.empty() ? "not known" : report.end);
    }
    text += '\n';
  }
  return text;
}

std::string Summaries::node_summary(std::int64_t now_us) const {
  std::string text(kNodeHeader);
  text += earlier_nodes_;
  for (auto first = processes_.begin(); first != processes_.end();) {
    const int node = first->first.first;
    Work total;
    std::int64_t started = 0;
    std::int64_t running = 0;
    std::int64_t fewest = std::numeric_limits<std::int64_t>::max();
    std::int64_t most = 0;
    std::int64_t start_us = std::numeric_limits<std::int64_t>::max();
    std::int64_t end_us = 0;
    auto process = first;
    for (; process != processes_.end() && process->first.first == node; ++process) {
      const ProcessReport& report = process->second.report;
      total.add(process->second.work);
      ++started;
      running += report.end_us == 0 ? 1 : 0;
      fewest = std::min(fewest, process->second.work.mini_batches);
      most = std::max(most, process->second.work.mini_batches);
      start_us = std::min(start_us, report.start_us);
      end_us = std::max(end_us, report.end_us != 0 ? report.end_us : now_us);
    }
    const double seconds = seconds_between(start_us, end_us);
    text += fmt::format("{},{},{},{},{},{},{},{},{:.3f},{:.3f},{:.3f},{:.3f},{:.3f},{},{}\n", node,
                        restart_, started, running, total.mini_batches, total.failed_tries,
                        total.succeeded_items, total.failed_items,
                        ratio(static_cast<double>(total.succeeded_items), seconds), seconds,
                        total.busy_s, total.process_s, total.run_method_s, fewest, most);
    first = process;
  }
  return text;
}

}  // namespace prs::logs
