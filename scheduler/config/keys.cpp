#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "config/settings.hpp"
#include "config/text.hpp"

namespace prs::config {
namespace {

using Kind = KeyInfo::Kind;

/// Every key that has a meaning. Keys of mappings are dotted.
std::map<std::string, KeyInfo> make_register() {
  std::map<std::string, KeyInfo> keys;
  for (const Setting& setting : settings()) {
    keys[setting.key] = {Kind::kSetting, setting.key};
    for (const std::string& name : setting.also) keys[name] = {Kind::kSetting, setting.key};
  }
  const auto add = [&keys](Kind kind, const std::string& name,
                           std::initializer_list<const char*> spellings) {
    for (const char* spelling : spellings) keys[spelling] = {kind, name};
  };
  add(Kind::kSpecial, "model", {"model", "task.model"});
  add(Kind::kSpecial, "plugin", {"plugin"});
  add(Kind::kSpecial, "entry_script", {"entry_script", "task.entry_script"});
  add(Kind::kSpecial, "source_directory", {"source_directory", "code", "task.code"});
  add(Kind::kSpecial, "python", {"python"});
  add(Kind::kSpecial, "arguments", {"arguments", "program_arguments", "task.program_arguments"});
  add(Kind::kSpecial, "inputs", {"inputs", "input", "input_data"});
  add(Kind::kSpecial, "partition_keys", {"partition_keys"});
  add(Kind::kSpecial, "output", {"output"});
  add(Kind::kSpecial, "outputs", {"outputs"});
  add(Kind::kSpecial, "append_row_to", {"append_row_to", "task.append_row_to"});
  add(Kind::kSpecial, "type", {"type"});
  add(Kind::kSpecial, "task.type", {"task.type"});
  add(Kind::kSpecial, "compute_target", {"compute_target", "compute"});
  add(Kind::kSpecial, "job", {"job"});
  for (const std::string option :
       {"copy_logs_to_parent", "push_metrics_to_parent", "metrics_name_prefix"}) {
    keys[option] = {Kind::kSpecial, option};
  }
  for (const char* mapping : {"task", "retry_settings", "resources", "model_options"}) {
    keys[mapping] = {Kind::kMapping, ""};
  }
  add(Kind::kNamed, "environment_variables.", {"environment_variables"});
  add(Kind::kNamed, "side_inputs.", {"side_inputs"});
  add(Kind::kCloudOnly, "",
      {"$schema", "version", "id", "display_name", "description", "experiment_name", "tags",
       "properties", "settings", "identity", "services", "environment", "task.environment",
       "resources.instance_type", "resources.shm_size", "resources.docker_args",
       "resources.properties", "limits"});
  add(Kind::kUnsupported,
      "a component of its own file is not followed; run that file itself, with --set "
      "inputs.NAME=..."
      " for its inputs",
      {"component"});
  add(Kind::kUnsupported,
      "a batch deployment is not supported; write a step file (prs-gpu run --example)",
      {"endpoint_name", "code_configuration"});
  return keys;
}

const std::map<std::string, KeyInfo>& key_register() {
  static const std::map<std::string, KeyInfo> kRegister = make_register();
  return kRegister;
}

}  // namespace

KeyInfo find_key(const std::string& key) {
  const auto found = key_register().find(key);
  if (found != key_register().end()) return found->second;
  for (const std::string prefix : {"environment_variables.", "side_inputs.", "inputs."}) {
    if (key.size() > prefix.size() && key.starts_with(prefix)) return {Kind::kNamed, prefix};
  }
  return {};
}

std::string unknown_key(const std::string& key) {
  std::vector<std::string> names;
  for (const auto& [name, info] : key_register()) names.push_back(name);
  const std::string near = nearest(key, names);
  return fmt::format("unknown key {}", in_quotes(key)) +
         (near.empty() ? "; docs/semantics.md, section C, lists all keys"
                       : fmt::format("; did you mean '{}'?", near));
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys = {"inputs."};
  for (const auto& [key, info] : key_register()) {
    const bool is_of_file = info.name == "type" || info.name == "task.type" || key == "outputs";
    if (info.kind == Kind::kSetting || (info.kind == Kind::kSpecial && !is_of_file)) {
      keys.push_back(key);
    }
    if (info.kind == Kind::kNamed) keys.push_back(info.name);
  }
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::vector<std::string> argument_options(bool v2) {
  std::vector<std::string> options = {
      "allowed_failed_percent", "append_row_dataframe_header", "append_row_safe_output",
      "copy_logs_to_parent",    "first_task_creation_timeout", "metrics_name_prefix",
      "profiling_module",       "progress_update_timeout",     "push_metrics_to_parent",
      "rank_mini_batch_count",  "resource_monitor_interval",   "resume_from",
      "task_overhead_timeout"};
  if (v2) options.push_back("error_threshold");
  return options;
}

const std::vector<std::string>& reserved_arguments() {
  static const std::vector<std::string> kReserved = {
      "mini_batch_size",        "error_threshold", "output_action",        "logging_level",
      "run_invocation_timeout", "run_max_try",     "append_row_file_name", "output",
      "process_count_per_node"};
  return kReserved;
}

bool is_idle_option(const std::string& option) {
  return option == "copy_logs_to_parent" || option == "push_metrics_to_parent" ||
         option == "metrics_name_prefix";
}

}  // namespace prs::config
