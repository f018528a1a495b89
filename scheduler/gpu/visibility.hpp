// Which GPUs the workers of a node may use (section G of docs/semantics.md). Pure: no driver, no
// environment; nvml.hpp asks the driver.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace prs::gpu {

/// A device as the driver reports it, in the order of CUDA_DEVICE_ORDER.
struct Device {
  std::string uuid;                    ///< "GPU-5fe5...".
  std::vector<std::string> mig_uuids;  ///< "MIG-...", when partitioned.
  std::string name;
};

struct Environment {
  std::optional<std::string> cuda_visible_devices;
  std::optional<std::string> gpu_count_found;  ///< AZ_BATCHAI_GPU_COUNT_FOUND.
};

/// The entries of CUDA_VISIBLE_DEVICES that workers of this node are given, verbatim.
struct VisibleDevices {
  std::vector<std::string> entries;  ///< "0", "1", or "GPU-8f...", ...
  std::vector<std::string> notes;    ///< What was ignored and why, for the log.
};

/// G1, G6. `devices` is empty when there is no driver. Throws invalid argument when
/// AZ_BATCHAI_GPU_COUNT_FOUND is no count.
VisibleDevices visible_devices(const Environment& environment, std::span<const Device> devices);

/// Value of CUDA_VISIBLE_DEVICES for a worker that holds these slots (indices into `entries`); no
/// slots: "" (G3).
std::string worker_value(const VisibleDevices& visible, std::span<const int> slots);

}  // namespace prs::gpu
