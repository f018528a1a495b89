// The resource monitor (section M of docs/semantics.md): samples the machine, the processes and the
// GPUs at an interval, into <output>/logs/perf/<node_id>/.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>

namespace prs::monitor {

/// Samples on a thread of its own, at once and then every `interval`, and once more at the end. A
/// failing sample (a full disk) is dropped; the job goes on.
class ResourceMonitor {
 public:
  /// `watched`: the folder whose file system node_disk_usage.csv reports.
  ResourceMonitor(std::filesystem::path perf_folder, std::filesystem::path watched,
                  std::chrono::seconds interval);
  ~ResourceMonitor();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::monitor
