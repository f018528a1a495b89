// Which GPUs the workers of a node may use (section G of docs/semantics.md). Pure: no driver, no
// environment; nvml.hpp asks the driver.
//
// An outer CUDA_VISIBLE_DEVICES is read as CUDA reads it: entries separated by commas, white space
// around them ignored, all of the form of the first one:
//
//   index   "2": strtol's reading, so that "+2" and "2nd" are 2
//   GPU     "GPU-8f6d...": any prefix that fits exactly one device
//   MIG     "MIG-<uuid>" in full, or the older "MIG-GPU-<uuid or prefix>/<gi>/<ci>"
//
// The list ends before the first entry that names no device; a device named twice makes the whole
// list empty.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace prs::gpu {

/// A part of a partitioned device.
struct MigDevice {
  std::string uuid;           ///< "MIG-5fe5...".
  std::string old_name = {};  ///< "MIG-GPU-<uuid>/<gpu instance>/<compute instance>", or "".
};

/// A device as the driver reports it, in the order of PCI bus ids.
struct Device {
  std::string uuid;  ///< "GPU-5fe5...".
  std::string name = {};
  bool mig_mode = false;  ///< Partitioned: usable only through its parts.
  std::vector<MigDevice> mig_devices = {};
};

/// Variables of the program's own environment; nothing where one is not set.
struct Environment {
  std::optional<std::string> cuda_visible_devices = std::nullopt;
  std::optional<std::string> gpu_count_found = std::nullopt;  ///< AZ_BATCHAI_GPU_COUNT_FOUND.
  std::optional<std::string> cuda_device_order = std::nullopt;
};

/// The entries of CUDA_VISIBLE_DEVICES that workers of this node are given, verbatim.
struct VisibleDevices {
  std::vector<std::string> entries;  ///< "0", "1", or "GPU-8f...", ...
  std::vector<std::string> notes;    ///< What was ignored and why, for the log.
};

/// G1, G6. `devices` is empty when there is no driver.
///
/// Without CUDA_VISIBLE_DEVICES the entries are the indices of all devices; as soon as one is
/// partitioned, UUIDs of its parts and of the whole devices beside it. AZ_BATCHAI_GPU_COUNT_FOUND
/// overrules the number of devices, but adds nothing to CUDA_VISIBLE_DEVICES. Without a driver
/// indices are checked against it, and UUIDs, which nothing can check, are taken as they are.
///
/// Throws invalid argument when AZ_BATCHAI_GPU_COUNT_FOUND is no number in 0..1024.
VisibleDevices visible_devices(const Environment& environment, std::span<const Device> devices);

/// Value of CUDA_VISIBLE_DEVICES for a worker that holds these slots (indices into `entries`); no
/// slots: "" (G3). Throws internal for a slot that does not exist.
std::string worker_value(const VisibleDevices& visible, std::span<const int> slots);

/// Value of CUDA_DEVICE_ORDER to add to a worker's environment; nothing: leave it as it is.
///
/// CUDA counts from the fastest device by default, the driver (and nvidia-smi, and our monitor) by
/// PCI bus id. Where indices are our own, PCI_BUS_ID makes the two agree. It is not added where the
/// user chose an order, or chose indices, which mean CUDA's order.
std::optional<std::string> device_order_for_workers(const Environment& environment,
                                                    std::span<const Device> devices);

}  // namespace prs::gpu
