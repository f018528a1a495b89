#include "runtime/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "dataset/dataset.hpp"
#include "entry/entry.hpp"
#include "gpu/pool.hpp"
#include "job/job.hpp"
#include "runtime/environment.hpp"
#include "runtime/orchestrator.hpp"

namespace prs::runtime {
namespace {

void plan_workers(const config::Step& step, const NodeGpus& gpus, Plan& plan) {
  plan.gpu_notes = gpus.visible.notes;
  const auto count = std::min<std::int64_t>(process_count(step, gpus), plan.mini_batches);
  gpu::SlotPool slots(static_cast<int>(gpus.visible.entries.size()));
  for (int process = 0; process < count; ++process) {
    const std::vector<int> held = slots.acquire(step.gpus_per_worker);
    plan.workers.push_back(
        {job::process_name({0, process}), worker_devices(step, gpus, held).value_or("(unset)")});
  }
}

}  // namespace

Plan plan_step(const config::Step& step) {
  const NodeGpus gpus = find_gpus();
  entry::check_entry(step, why_gpuless(step, gpus, process_count(step, gpus)));
  Plan plan;
  dataset::Partitioner partitioner(dataset::input_spec(step), step.mini_batch_size);
  while (const std::optional<dataset::MiniBatch> mini_batch = partitioner.next()) {
    const std::int64_t items = mini_batch->items();
    plan.smallest = plan.mini_batches == 0 ? items : std::min(plan.smallest, items);
    plan.largest = std::max(plan.largest, items);
    plan.items += items;
    ++plan.mini_batches;
  }
  plan_workers(step, gpus, plan);
  return plan;
}

std::string plan_text(const config::Step& step, const Plan& plan) {
  std::string text = fmt::format("{} mini-batches, {} items", plan.mini_batches, plan.items);
  if (plan.mini_batches > 0) {
    text += fmt::format(" ({} to {} items each)", plan.smallest, plan.largest);
  }
  text += fmt::format("\n{} workers\n", plan.workers.size());
  for (const PlannedWorker& worker : plan.workers) {
    text += fmt::format("  {}  CUDA_VISIBLE_DEVICES=\"{}\"\n", worker.process,
                        worker.cuda_visible_devices);
  }
  for (const std::string& note : plan.gpu_notes) text += "note: " + note + "\n";
  for (const std::string& note : step.notes) text += "note: " + note + "\n";
  return text + "\n" + config::settings_table(step);
}

std::string plan_json(const config::Step& step, const Plan& plan) {
  nlohmann::ordered_json json;
  json["name"] = step.name;
  json["mini_batches"] = plan.mini_batches;
  json["items"] = plan.items;
  json["workers"] = nlohmann::ordered_json::array();
  for (const PlannedWorker& worker : plan.workers) {
    json["workers"].push_back(
        {{"process", worker.process}, {"cuda_visible_devices", worker.cuda_visible_devices}});
  }
  nlohmann::ordered_json& settings = json["settings"];
  for (const config::SettingOrigin& setting : step.origins) {
    settings[setting.key] = {
        {"value", setting.value}, {"unit", setting.unit}, {"origin", setting.origin}};
  }
  json["notes"] = plan.gpu_notes;
  for (const std::string& note : step.notes) json["notes"].push_back(note);
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace prs::runtime
