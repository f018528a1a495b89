#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>
#include <utility>

#include "monitor/progress.hpp"
#include "prs/error.hpp"

namespace prs::monitor {
namespace {

using nlohmann::ordered_json;

constexpr std::array<std::pair<WorkerPhase, std::string_view>, 6> kPhases = {{
    {WorkerPhase::kStarting, "starting"},
    {WorkerPhase::kLoading, "loading"},
    {WorkerPhase::kInit, "init"},
    {WorkerPhase::kIdle, "idle"},
    {WorkerPhase::kRun, "run"},
    {WorkerPhase::kStopping, "stopping"},
}};

[[noreturn]] void fail(std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("job status: {}; expected what a job of this version writes", what));
}

std::string_view name_of(WorkerPhase phase) {
  for (const auto& [candidate, name] : kPhases) {
    if (candidate == phase) return name;
  }
  return "starting";
}

WorkerPhase phase_of(const std::string& name) {
  for (const auto& [phase, candidate] : kPhases) {
    if (candidate == name) return phase;
  }
  fail(fmt::format("phase \"{}\" is not known", name));
}

template <typename T>
void read(const ordered_json& object, const char* key, T& value) {
  const auto found = object.find(key);
  if (found == object.end()) fail(fmt::format("\"{}\" is missing", key));
  const bool right = std::is_same_v<T, std::string> ? found->is_string()
                     : std::is_same_v<T, bool>      ? found->is_boolean()
                     : std::is_same_v<T, double>    ? found->is_number()
                                                    : found->is_number_integer();
  if (!right) fail(fmt::format("\"{}\" is {}", key, found->dump()));
  value = found->template get<T>();
}

/// Every member with its key; `visit(key, member)`. One list for writing and reading.
template <typename Status, typename Visit>
void visit_job(Status& status, const Visit& visit) {
  visit("run_id", status.run_id);
  visit("status", status.status);
  visit("reason", status.reason);
  visit("listing", status.listing);
  visit("mini_batches", status.mini_batches);
  visit("done", status.done);
  visit("failed", status.failed);
  visit("items", status.items);
  visit("items_succeeded", status.items_succeeded);
  visit("items_failed", status.items_failed);
  visit("elapsed_s", status.elapsed_s);
  visit("items_per_s", status.items_per_s);
  visit("remaining_s", status.remaining_s);
}

template <typename Status, typename Visit>
void visit_worker(Status& worker, const Visit& visit) {
  visit("node", worker.node);
  visit("process", worker.process);
  visit("pid", worker.pid);
  visit("gpus", worker.gpus);
  visit("mini_batch", worker.mini_batch);
  visit("phase_s", worker.phase_s);
  visit("mini_batches", worker.mini_batches);
  visit("items", worker.items);
}

/// JSON has no infinity and no NaN.
template <typename T>
T json_value(const T& value) {
  if constexpr (std::is_same_v<T, double>) return std::isfinite(value) ? value : 0;
  return value;
}

}  // namespace

std::string to_json(const JobStatus& status) {
  ordered_json json;
  visit_job(status, [&json](const char* key, const auto& value) { json[key] = json_value(value); });
  ordered_json workers = ordered_json::array();
  for (const WorkerStatus& worker : status.workers) {
    ordered_json object;
    visit_worker(
        worker, [&object](const char* key, const auto& value) { object[key] = json_value(value); });
    object["phase"] = name_of(worker.phase);
    workers.push_back(std::move(object));
  }
  json["workers"] = std::move(workers);
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

JobStatus status_from_json(const std::string& text) {
  const ordered_json json = ordered_json::parse(text, nullptr, false);
  if (!json.is_object()) fail("the text is not a JSON object");
  JobStatus status;
  visit_job(status, [&json](const char* key, auto& value) { read(json, key, value); });
  const auto workers = json.find("workers");
  if (workers == json.end() || !workers->is_array()) fail("\"workers\" is missing or no list");
  for (const ordered_json& object : *workers) {
    if (!object.is_object()) fail("a worker is not an object");
    WorkerStatus worker;
    visit_worker(worker, [&object](const char* key, auto& value) { read(object, key, value); });
    std::string phase;
    read(object, "phase", phase);
    worker.phase = phase_of(phase);
    status.workers.push_back(std::move(worker));
  }
  return status;
}

}  // namespace prs::monitor
