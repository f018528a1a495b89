#include "runtime/environment.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <map>

#include "gpu/nvml.hpp"
#include "prs/engine.hpp"

namespace prs::runtime {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return value;
}

/// The folder of the step's model; "" without one.
fs::path model_folder(const config::Step& step) {
  const bool is_entry = step.entry.kind == config::EntrySpec::Kind::kModel;
  const fs::path& model = is_entry ? step.entry.path : step.entry.model;
  std::error_code error;
  return fs::is_directory(model, error) ? model : model.parent_path();
}

}  // namespace

gpu::Environment environment_of_this_process() {
  return {.cuda_visible_devices = variable("CUDA_VISIBLE_DEVICES"),
          .gpu_count_found = variable("AZ_BATCHAI_GPU_COUNT_FOUND"),
          .cuda_device_order = variable("CUDA_DEVICE_ORDER")};
}

NodeGpus find_gpus() {
  const gpu::Environment environment = environment_of_this_process();
  const gpu::DriverReport report = gpu::query_driver();
  NodeGpus gpus;
  gpus.visible = gpu::visible_devices(environment, report.devices);
  gpus.device_order = gpu::device_order_for_workers(environment, report.devices);
  gpus.driver_problem = report.problem;
  return gpus;
}

int process_count(const config::Step& step, const NodeGpus& gpus) {
  if (step.process_count_per_node > 0) return step.process_count_per_node;
  return gpus.visible.entries.empty() ? available_processors() : 1;
}

std::optional<std::string> why_gpuless(const config::Step& step, const NodeGpus& gpus,
                                       int workers) {
  const auto count = static_cast<int>(gpus.visible.entries.size());
  if (count == 0) {
    return gpus.driver_problem.empty() ? "no GPU is visible here" : gpus.driver_problem;
  }
  const int served = step.gpus_per_worker == 0 ? 1 : count / step.gpus_per_worker;
  if (workers <= served || step.gpuless_unset) return std::nullopt;
  if (served == 0) {
    return fmt::format("gpus_per_worker is {}, and the number of GPUs {}", step.gpus_per_worker,
                       count);
  }
  return fmt::format("{} workers, and GPUs for {} of them (give --workers {})", workers, served,
                     served);
}

std::optional<std::string> worker_devices(const config::Step& step, const NodeGpus& gpus,
                                          std::span<const int> slots) {
  if (slots.empty() && step.gpuless_unset) return std::nullopt;
  return gpu::worker_value(gpus.visible, slots);
}

std::vector<std::string> worker_environment(const config::Step& step, const std::string& run_id,
                                            const NodeGpus& gpus,
                                            const std::optional<std::string>& devices) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : step.environment_variables) variables[name] = value;
  variables["AZUREML_BI_OUTPUT_PATH"] = step.output.string();
  variables["AZUREML_RUN_ID"] = run_id;
  if (const fs::path folder = model_folder(step); !folder.empty()) {
    variables["AZUREML_MODEL_DIR"] = folder.string();
  }
  variables["AZ_BATCHAI_GPU_COUNT_FOUND"] = std::to_string(gpus.visible.entries.size());
  if (gpus.device_order) variables["CUDA_DEVICE_ORDER"] = *gpus.device_order;
  // Last: whatever the step says, two workers never share a device.
  variables.erase("CUDA_VISIBLE_DEVICES");
  if (devices) variables["CUDA_VISIBLE_DEVICES"] = *devices;
  std::vector<std::string> result;
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

}  // namespace prs::runtime
