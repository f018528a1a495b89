// What the NVIDIA driver reports, through NVML loaded at run time (libnvidia-ml.so.1): no CUDA
// context is created, so that an orchestrator never holds a device. Thread-safe. Throws nothing but
// std::bad_alloc: what cannot be had is told in the result.
//
// NVML ignores CUDA_VISIBLE_DEVICES and counts devices by PCI bus id; CUDA counts the fastest first
// unless CUDA_DEVICE_ORDER=PCI_BUS_ID: device_order_for_workers() in visibility.hpp.
#pragma once

#include <string>
#include <vector>

#include "gpu/visibility.hpp"

namespace prs::gpu {

struct DriverReport {
  std::vector<Device> devices;
  /// Why there are none, or why some are missing, in one line: "no NVIDIA driver
  /// (libnvidia-ml.so.1: cannot open shared object file: ...)".
  std::string problem;
};

DriverReport query_driver();
/// The same from another library: a name or path for dlopen().
DriverReport query_driver_from(const std::string& library);

/// One device's state now (M1). Values are -1 where the driver does not tell.
struct Usage {
  int index = 0;  ///< NVML's, as nvidia-smi shows it.
  double utilization_percent = -1;
  double memory_used_mb = -1;  ///< MB of 2^20 bytes.
  double memory_total_mb = -1;
  double temperature_c = -1;
  double power_w = -1;
};

/// All devices that answer; none without a driver.
std::vector<Usage> query_usage();
std::vector<Usage> query_usage_from(const std::string& library);

}  // namespace prs::gpu
