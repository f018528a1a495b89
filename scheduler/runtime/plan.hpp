// What a step would do, without doing it (--dry-run).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/step.hpp"

namespace prs::runtime {

struct PlannedWorker {
  std::string process;               ///< "process000"
  std::string cuda_visible_devices;  ///< "" when it gets no GPU.
};

struct Plan {
  std::int64_t mini_batches = 0;
  std::int64_t items = 0;
  std::int64_t smallest = 0;  ///< Items of the smallest and the largest mini-batch.
  std::int64_t largest = 0;
  std::vector<PlannedWorker> workers;
  std::vector<std::string> gpu_notes;
};

/// Lists the inputs and assigns the GPUs. Throws as run_job() does before its first worker.
Plan plan_step(const config::Step& step);

/// For people, and as JSON: `mini_batches`, `items`, `workers[].cuda_visible_devices`, `settings`.
std::string plan_text(const config::Step& step, const Plan& plan);
std::string plan_json(const config::Step& step, const Plan& plan);

}  // namespace prs::runtime
