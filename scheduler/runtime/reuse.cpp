#include "runtime/reuse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <prs/error.hpp>

#include "dataset/identity.hpp"
#include "dataset/sha256.hpp"
#include "runtime/job_folder.hpp"
#include "store/history.hpp"

namespace prs::runtime {
namespace fs = std::filesystem;

namespace {

/// The files below a folder (or the file): a line each with path, size and time of change, or with
/// reuse_by_content a hash. Without what the job itself writes, and what Python or an editor does.
std::vector<std::string> folder_state(const config::Step& step, const fs::path& folder) {
  std::vector<std::string> lines;
  const auto add = [&](const fs::path& path) {
    std::error_code error;
    if (!fs::is_regular_file(path, error)) return;
    const auto time = fs::last_write_time(path, error).time_since_epoch().count();
    lines.push_back(path.string() + " " +
                    (step.reuse_by_content
                         ? dataset::sha256_of_file(path)
                         : fmt::format("{} {}", fs::file_size(path, error), time)));
  };
  if (folder.empty()) return lines;
  add(folder);
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name == "__pycache__" || name.starts_with('.') || entry->path() == step.output) {
      entry.disable_recursion_pending();
      continue;
    }
    add(entry->path());
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

std::string settings_identity(const config::Step& step) {
  nlohmann::json json;
  json["format"] = 2;
  json["kind"] = static_cast<int>(step.entry.kind);
  json["entry"] = dataset::sha256_of_file(step.entry.path);
  json["arguments"] = step.entry.arguments;
  json["environment"] = step.environment_variables;
  json["model_options"] = step.model_options;
  json["mini_batch"] = {static_cast<int>(step.mini_batch_size.unit), step.mini_batch_size.value,
                        step.mini_batch_size.given};
  json["partition"] = {step.partition_keys, step.partition_format,
                       static_cast<int>(step.input_kind), step.rank_mini_batch_count};
  json["output_action"] = static_cast<int>(step.output_action);
  json["file_name"] = step.append_row_file_name;
  json["output_format"] = static_cast<int>(step.output_format);
  json["safe_output"] = step.append_row_safe_output;
  json["header"] = step.append_row_dataframe_header;
  json["ordered"] = step.ordered;
  json["top_k"] = step.top_k;
  json["strict"] = step.strict_return_length;
  json["limits"] = {step.error_threshold, step.allowed_failed_count, step.allowed_failed_percent};
  json["by_content"] = step.reuse_by_content;
  if (step.entry.kind == config::EntrySpec::Kind::kScript) {
    json["python"] = step.entry.python.string();
    json["source"] = folder_state(step, step.entry.source_directory);
    json["model"] = folder_state(step, step.entry.model);
  }
  if (const auto images = step.model_options.find("calibrate");
      images != step.model_options.end()) {
    json["calibrate"] = folder_state(step, images->second);
  }
  for (const auto& [name, path] : step.side_inputs) {
    json["side_inputs"][name] = folder_state(step, path);
  }
  return dataset::sha256_hex(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string step_identity(const std::string& settings, const std::string& inputs) {
  return settings + '-' + inputs;
}

std::optional<std::string> reuse_result(const config::Step& step, const std::string& settings) {
  // A script that writes its own files leaves nothing that could be put elsewhere.
  if (step.output_action != config::OutputAction::kAppendRow || step.overwrite) return std::nullopt;
  std::optional<store::RunRecord> earlier;
  try {
    if (!store::History().any_completed(settings)) return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::string inputs =
      dataset::input_identity(dataset::input_spec(step), step.reuse_by_content);
  try {
    earlier = store::History().find_completed(step_identity(settings, inputs));
  } catch (const Error&) {
    return std::nullopt;
  }
  if (!earlier || earlier->failed_items > 0) return std::nullopt;
  const fs::path result = fs::path(earlier->output) / step.append_row_file_name;
  const fs::path wanted = JobFolder(step.output).result(step);
  std::error_code error;
  if (!fs::exists(result, error)) return std::nullopt;
  if (!fs::equivalent(result, wanted, error)) {
    if (fs::exists(wanted, error)) return std::nullopt;  // O5 decides about it.
    fs::create_directories(step.output, error);
    const fs::path partial = wanted.string() + ".partial";
    if (!fs::copy_file(result, partial, fs::copy_options::overwrite_existing, error)) {
      return std::nullopt;
    }
    fs::rename(partial, wanted, error);
    if (error) return std::nullopt;
  }
  return fmt::format(
      "nothing is run: run {} had the same entry, settings and inputs; its {} rows' file is {} "
      "(--set allow_reuse=false or --overwrite runs the step again; so does any change to it)",
      earlier->run_id, earlier->items, wanted.string());
}

}  // namespace prs::runtime
