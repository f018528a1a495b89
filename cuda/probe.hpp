// What CUDA devices this process can use, or why none. C++17: nvcc compiles it too.
//
// Needs no driver to link or start; makes no CUDA context, so that a process may look at the
// devices and leave their memory alone. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace prs::cuda {

struct DeviceInfo {
  std::string name;
  int compute_major = 0;
  int compute_minor = 0;
  std::int64_t memory_bytes = 0;
};

struct Probe {
  /// The visible devices, in CUDA's order; their index is the N of "cuda:N".
  std::vector<DeviceInfo> devices;
  /// Why `devices` is empty, in words; empty when it is not.
  std::string reason;
  /// CUDA's version numbers, 1000 * major + 10 * minor; 0 when there is none.
  int driver_version = 0;   ///< The newest CUDA that the driver supports.
  int runtime_version = 0;  ///< The runtime inside this program.
};

/// Asks the driver. Failures are told in `reason`; never throws but std::bad_alloc.
Probe probe_devices();

}  // namespace prs::cuda
