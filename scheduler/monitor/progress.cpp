#include "monitor/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include "logs/text.hpp"
#include "monitor/terminal_text.hpp"

namespace prs::monitor {
namespace {

using logs::duration_text;

constexpr std::size_t kWorkersByName = 8;
constexpr std::array kPhaseNames = {"starting", "loading", "init", "idle", "run", "stopping"};

std::string_view phase_name(WorkerPhase phase) {
  return kPhaseNames[static_cast<std::size_t>(phase)];
}

bool has_several_nodes(const JobStatus& status) {
  return std::any_of(
      status.workers.begin(), status.workers.end(),
      [&status](const WorkerStatus& worker) { return worker.node != status.workers.front().node; });
}

/// "process003", or "1/process003" where there are several nodes.
std::string worker_name(const WorkerStatus& worker, bool several_nodes) {
  return several_nodes ? fmt::format("{}/{}", worker.node, printable(worker.process))
                       : printable(worker.process);
}

/// "12 s" below a minute, then H:MM:SS.
std::string short_time(double seconds) {
  if (!(seconds > 0)) return "0 s";
  if (seconds < 60) return fmt::format("{:.0f} s", std::floor(seconds));
  return duration_text(seconds);
}

std::string phase_text(const WorkerStatus& worker) {
  if (worker.phase == WorkerPhase::kRun && worker.mini_batch >= 0) {
    return fmt::format("run of mini-batch {}", worker.mini_batch);
  }
  return std::string(phase_name(worker.phase));
}

std::string failures_text(const JobStatus& status) {
  if (status.failed == 0 && status.items_failed == 0) return {};
  return fmt::format("{} mini-batches and {} items failed", status.failed, status.items_failed);
}

/// Of what is known so far; below 1 until everything is processed.
double fraction_done(const JobStatus& status) {
  if (status.mini_batches <= 0) return 0;
  const double fraction =
      static_cast<double>(status.done + status.failed) / static_cast<double>(status.mini_batches);
  return std::clamp(fraction, 0.0, 1.0);
}

std::string bar(double fraction, int columns) {
  const int inside = columns - 2;
  const int full = static_cast<int>(fraction * inside);
  std::string text = "[" + std::string(static_cast<std::size_t>(full), '=');
  if (full < inside) {
    text += '>';
    text.append(static_cast<std::size_t>(inside - full - 1), ' ');
  }
  return text + ']';
}

/// The first line: a bar, and of the facts as many as fit, the most wanted first.
std::string bar_line(const JobStatus& status, int columns) {
  constexpr int kLeastBar = 12;
  constexpr int kMostBar = 40;
  const int kept_for_bar = columns / 4 > kLeastBar ? columns / 4 + 1 : 0;
  const double fraction = fraction_done(status);
  // Of a number that still grows there is no percentage.
  std::string text = status.listing
                         ? fmt::format("{}/{}+", status.done + status.failed, status.mini_batches)
                         : fmt::format("{:3.0f}% {}/{}", std::floor(100 * fraction),
                                       status.done + status.failed, status.mini_batches);
  std::vector<std::string> facts = {" mini-batches"};
  if (status.remaining_s >= 0) facts.push_back(", " + duration_text(status.remaining_s) + " left");
  const std::string failures = failures_text(status);
  if (!failures.empty()) facts.push_back(", " + failures);
  facts.push_back(fmt::format(", {:.1f} items/s", status.items_per_s));
  facts.push_back(", " + duration_text(status.elapsed_s) + " so far");
  if (status.status != "running") facts.push_back(", " + printable(status.status));
  for (const std::string& fact : facts) {
    const int width = display_width(text) + display_width(fact);
    if (width + kept_for_bar > columns) break;
    text += fact;
  }
  const int room = columns - display_width(text) - 1;
  if (room < kLeastBar) return fit(text, columns);
  return bar(fraction, std::min(room, kMostBar)) + ' ' + text;
}

std::string worker_line(const WorkerStatus& worker, int name_width, bool several_nodes,
                        int columns) {
  const std::string line =
      fmt::format("{} {} {}, {} mini-batches, {} items{}",
                  fit_padded(worker_name(worker, several_nodes), name_width), phase_text(worker),
                  short_time(worker.phase_s), worker.mini_batches, worker.items,
                  worker.gpus.empty() ? "" : fmt::format(", GPU {}", printable(worker.gpus)));
  return fit(line, columns);
}

/// "3 init, 1 run" of the workers from `first` on.
std::string phase_counts(const std::vector<WorkerStatus>& workers, std::size_t first) {
  std::string text;
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    const auto count = std::count_if(workers.begin() + static_cast<std::ptrdiff_t>(first),
                                     workers.end(), [phase](const WorkerStatus& worker) {
                                       return static_cast<std::size_t>(worker.phase) == phase;
                                     });
    if (count > 0) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, kPhaseNames[phase]);
    }
  }
  return text;
}

}  // namespace

std::string overview_line(const JobStatus& status) {
  const std::int64_t processed = status.done + status.failed;
  if (processed == 0 && (status.mini_batches > 0 || status.listing)) {
    return fmt::format("No mini-batch processed yet after {}: {}", duration_text(status.elapsed_s),
                       activity(status));
  }
  std::string line = fmt::format("Processed {} of {} mini-batches in {}", processed,
                                 status.listing ? fmt::format("at least {}", status.mini_batches)
                                                : std::to_string(status.mini_batches),
                                 duration_text(status.elapsed_s));
  if (status.remaining_s >= 0) {
    line += ", estimated remaining " + duration_text(status.remaining_s);
  }
  const std::string failures = failures_text(status);
  return failures.empty() ? line : line + "; " + failures;
}

std::vector<std::string> terminal_lines(const JobStatus& status, int columns, int rows) {
  if (columns <= 0) return {};
  std::vector<std::string> lines = {bar_line(status, columns)};
  const bool several_nodes = has_several_nodes(status);
  int name_width = 0;
  for (const WorkerStatus& worker : status.workers) {
    name_width = std::max(name_width, display_width(worker_name(worker, several_nodes)));
  }
  std::size_t shown = status.workers.size();
  const auto room = static_cast<std::size_t>(std::max(rows - 1, 0));
  const bool too_many = rows > 0 && shown > room;
  if (too_many) shown = room == 0 ? 0 : room - 1;
  for (std::size_t i = 0; i < shown; ++i) {
    lines.push_back(worker_line(status.workers[i], name_width, several_nodes, columns));
  }
  if (too_many && room > 0) {
    lines.push_back(fit(fmt::format("{} more workers: {}", status.workers.size() - shown,
                                    phase_counts(status.workers, shown)),
                        columns));
  }
  return lines;
}

std::string activity(const JobStatus& status) {
  const std::vector<WorkerStatus>& workers = status.workers;
  // Why idle workers get nothing.
  const std::string listing =
      status.listing && status.mini_batches == 0 ? "the inputs are being listed, " : "";
  if (workers.empty()) return listing + "no worker runs";
  const bool several_nodes = has_several_nodes(status);
  const auto add = [](std::string& text, const std::string& part) {
    if (!text.empty()) text += ", ";
    text += part;
  };
  std::string text;
  if (workers.size() <= kWorkersByName) {
    for (const WorkerStatus& worker : workers) {
      add(text, fmt::format("{} {} since {}", worker_name(worker, several_nodes),
                            phase_text(worker), short_time(worker.phase_s)));
    }
    return listing + text;
  }
  for (std::size_t phase = 0; phase < kPhaseNames.size(); ++phase) {
    const WorkerStatus* longest = nullptr;
    std::int64_t count = 0;
    for (const WorkerStatus& worker : workers) {
      if (static_cast<std::size_t>(worker.phase) != phase) continue;
      ++count;
      if (!longest || worker.phase_s > longest->phase_s) longest = &worker;
    }
    if (!longest) continue;
    add(text, fmt::format("{} {} (longest {} since {})", count, kPhaseNames[phase],
                          worker_name(*longest, several_nodes), short_time(longest->phase_s)));
  }
  return fmt::format("{}{} workers: {}", listing, workers.size(), text);
}

std::string report(const JobStatus& status) {
  std::string text = fmt::format("Run:          {}\nStatus:       {}{}\n", printable(status.run_id),
                                 printable(status.status),
                                 status.reason.empty() ? "" : ": " + printable(status.reason));
  text += fmt::format("Mini-batches: {} of {}{} processed, {} of them failed\n",
                      status.done + status.failed, status.listing ? "at least " : "",
                      status.mini_batches, status.failed);
  text += fmt::format("Items:        {}{}: {} succeeded, {} failed\n",
                      status.listing ? "at least " : "", status.items, status.items_succeeded,
                      status.items_failed);
  text += fmt::format(
      "Time:         {}, estimated remaining {}, {:.1f} items/s\n", duration_text(status.elapsed_s),
      status.remaining_s < 0 ? "not known" : duration_text(status.remaining_s), status.items_per_s);
  if (status.workers.empty()) return text + "Workers:      none\n";
  text += fmt::format("Workers:      {}\n", status.workers.size());
  const bool several_nodes = has_several_nodes(status);
  for (const WorkerStatus& worker : status.workers) {
    text += fmt::format("  {} (pid {}{}): {} since {}; {} mini-batches, {} items\n",
                        worker_name(worker, several_nodes), worker.pid,
                        worker.gpus.empty() ? "" : ", GPU " + printable(worker.gpus),
                        phase_text(worker), short_time(worker.phase_s), worker.mini_batches,
                        worker.items);
  }
  return text;
}

}  // namespace prs::monitor
