// process_summary.csv and node_summary.csv: what each worker process and each node did, so that
// uneven work explains itself (U10).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "logs/log_tree.hpp"

namespace prs::logs {

class Summaries {
 public:
  explicit Summaries(int restart) : restart_(restart) {}

  /// Rows of earlier runs of the job, from the files as they were left. A process that still ran
  /// then was lost.
  void continue_from(std::string_view process_summary, std::string_view node_summary);

  void started(const ProcessReport& report);
  void tried(const TryReport& report);
  void ended(const ProcessReport& report);

  /// The whole files, as of `now_us`.
  std::string process_summary(std::int64_t now_us) const;
  std::string node_summary(std::int64_t now_us) const;

 private:
  struct Work {
    std::int64_t mini_batches = 0;  ///< Tries that ended as RUN_DONE.
    std::int64_t failed_tries = 0;
    std::int64_t succeeded_items = 0;
    std::int64_t failed_items = 0;  ///< Missing from what run() returned.
    double busy_s = 0;
    double process_s = 0;
    double run_method_s = 0;

    void add(const Work& other);
  };
  struct Process {
    ProcessReport report;
    Work work;
  };

  Process& process_of(int node, const std::string& process);

  int restart_;
  std::string earlier_processes_;
  std::string earlier_nodes_;
  std::map<std::pair<int, std::string>, Process> processes_;
};

}  // namespace prs::logs
