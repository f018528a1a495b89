// The environment variables that decide about GPUs, and those that a worker is given (E10, G).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/step.hpp"
#include "gpu/visibility.hpp"

namespace prs::runtime {

gpu::Environment environment_of_this_process();

/// The GPUs that the workers of this machine share.
struct NodeGpus {
  gpu::VisibleDevices visible;
  std::optional<std::string> device_order;  ///< CUDA_DEVICE_ORDER to add for workers.
  std::string driver_problem;               ///< Why the driver reports no GPUs, or "".
};

/// How many workers the step wants, whether it says so or not (section C).
int process_count(const config::Step& step, const NodeGpus& gpus);

/// Why one of so many workers is given no GPU, or sees none; nothing when all have some.
std::optional<std::string> why_gpuless(const config::Step& step, const NodeGpus& gpus, int workers);

/// Asks environment and driver (G1, G6). Throws invalid argument as gpu::visible_devices does.
NodeGpus find_gpus();

/// CUDA_VISIBLE_DEVICES for a worker with these slots; nothing: the variable is to be unset (G3).
std::optional<std::string> worker_devices(const config::Step& step, const NodeGpus& gpus,
                                          std::span<const int> slots);

/// All variables of a worker, "NAME=value": this process's own, the step's, and E10's.
std::vector<std::string> worker_environment(const config::Step& step, const std::string& run_id,
                                            const NodeGpus& gpus,
                                            const std::optional<std::string>& devices);

}  // namespace prs::runtime
