// What the NVIDIA driver reports, through NVML loaded at run time (libnvidia-ml.so.1): no CUDA
// context is created, so that an orchestrator never holds a device.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gpu/visibility.hpp"

namespace prs::gpu {

struct DriverReport {
  std::vector<Device> devices;
  std::string problem;  ///< Why there are none: "no NVIDIA driver (libnvidia-ml.so.1 not found)".
};

DriverReport query_driver();

/// One device's state now (M1). Values are -1 where the driver does not tell.
struct Usage {
  int index = 0;
  double utilization_percent = -1;
  double memory_used_mb = -1;
  double memory_total_mb = -1;
  double temperature_c = -1;
  double power_w = -1;
};

std::vector<Usage> query_usage();

}  // namespace prs::gpu
