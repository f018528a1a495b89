// The resource monitor (section M of docs/semantics.md): samples the machine, the processes and the
// GPUs at an interval, into <output>/logs/perf/<node_id>/.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "gpu/nvml.hpp"

namespace prs::monitor {

/// Samples on a thread of its own: a second after the start, then every `interval`, and once more
/// at the end. A sample that cannot be taken or written (a full disk) is dropped; the job goes on.
///
/// Files: os/<%Y%m%d%H>/processes_<%M>, node_resource_usage.csv, node_disk_usage.csv,
/// processes_resource_usage.csv (of this process and all that descend from it). CSV files that are
/// there are continued (a resumed job); one with other columns, because the machine has other GPUs
/// now, is renamed to <name>.1.csv first.
class ResourceMonitor {
 public:
  using GpuUsage = std::function<std::vector<gpu::Usage>()>;

  /// `watched`: the folder whose file system node_disk_usage.csv reports. `gpu_usage`: as
  /// gpu::query_usage, called on the thread; what it throws counts as "no GPU". An interval of 0
  /// (the monitor is off) must not get here: throws invalid argument.
  ResourceMonitor(std::filesystem::path perf_folder, std::filesystem::path watched,
                  std::chrono::milliseconds interval, GpuUsage gpu_usage);
  /// Begins the last sample without waiting for the interval. The destructor waits for it: what is
  /// to be done at the end of a job can be done meanwhile.
  void stop();
  ~ResourceMonitor();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace prs::monitor
