// How many processors there are for this process.
//
// Quotas are read from the cgroup files: cpu.max of version 2 ("max 100000" or "150000 100000", in
// microseconds of processor time and of time), cpu.cfs_quota_us and cpu.cfs_period_us of version 1.
// A group is bound by those above it too. What cannot be read sets no limit.
#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <thread>

#include "prs/engine.hpp"

namespace prs {
namespace {

namespace fs = std::filesystem;

constexpr double kNoQuota = std::numeric_limits<double>::infinity();

/// Processors' time a group may use.
double quota_of(const fs::path& folder) {
  double quota = 0;
  double period = 0;
  if (std::ifstream file(folder / "cpu.max"); file >> quota >> period && period > 0) {
    return quota / period;
  }
  std::ifstream quota_file(folder / "cpu.cfs_quota_us");
  std::ifstream period_file(folder / "cpu.cfs_period_us");
  if (quota_file >> quota && period_file >> period && quota > 0 && period > 0) {
    return quota / period;
  }
  return kNoQuota;
}

/// Of a group and of those above it.
double quota_within(const fs::path& root, fs::path group) {
  double quota = quota_of(root);
  for (; group.has_relative_path(); group = group.parent_path()) {
    quota = std::min(quota, quota_of(root / group.relative_path()));
  }
  return quota;
}

double cgroup_quota() {
  double quota = kNoQuota;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of version 1.
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,") {
      quota = std::min(quota, quota_within("/sys/fs/cgroup", group));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      quota = std::min(quota, quota_within("/sys/fs/cgroup/cpu", group));
    }
  }
  return quota;
}

int processors_of_mask() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) {
    return static_cast<int>(std::thread::hardware_concurrency());
  }
  return CPU_COUNT(&set);
}

}  // namespace

int available_processors() {
  const int processors = std::max(1, processors_of_mask());
  const double quota = std::ceil(cgroup_quota());
  return quota < processors ? std::max(1, static_cast<int>(quota)) : processors;
}

}  // namespace prs
