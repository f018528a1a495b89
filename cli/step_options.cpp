#include "step_options.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "config/parameters.hpp"
#include "dataset/dataset.hpp"
#include "errors.hpp"

namespace prs::cli {
namespace {

struct Flag {
  const char* name;
  const char* key;
  const char* value_name;
  const char* help;
};

constexpr Flag kFlags[] = {
    {"--model", "model", "M", "ONNX model: the built-in entry scores images with it"},
    {"--entry-script", "entry_script", "PY",
     "Python entry script: init(), run(mini_batch), shutdown()"},
    {"--source-directory", "source_directory", "DIR", "what the script runs in and imports from"},
    {"--python", "python", "EXE", "interpreter of the environment whose packages a script uses"},
    {"--plugin", "plugin", "SO", "native entry: a shared library (see <prs/entry_plugin.h>)"},
    {"--output", "output", "DIR", "output folder"},
    {"--name", "name", "NAME", "name of the step"},
    {"--mini-batch-size", "mini_batch_size", "N", "items of a mini-batch: 10, rows:500, 1MB"},
    {"--workers", "process_count_per_node", "N", "worker processes (GPUs there: 1, else cores)"},
    {"--gpus-per-worker", "gpus_per_worker", "N|all", "GPUs each worker is given (1)"},
    {"--gpuless-workers", "gpuless_workers", "none|unset",
     "CUDA_VISIBLE_DEVICES of workers without a GPU"},
    {"--device", "device", "D", "auto, cpu, cuda"},
    {"--precision", "precision", "P", "of a model's products: fp32, tf32, bf16, fp16, int8"},
    {"--timeout", "run_invocation_timeout", "S", "seconds one run() may take (60)"},
    {"--max-try", "run_max_try", "N", "tries of a mini-batch (3)"},
    {"--error-threshold", "error_threshold", "N", "failed items that are tolerated; -1: all"},
    {"--allowed-failed-count", "allowed_failed_count", "N", "failed mini-batches; -1: all"},
    {"--allowed-failed-percent", "allowed_failed_percent", "P", "of all mini-batches; 100: all"},
    {"--output-action", "output_action", "A", "append_row or summary_only"},
    {"--append-row-file-name", "append_row_file_name", "F", "name of the output file"},
    {"--output-format", "output_format", "F", "text, csv, jsonl"},
    {"--top-k", "top_k", "K", "classes of a row"},
    {"--compat", "compat", "C", "ours, v1, v2, strict: where Azure's texts disagree"},
};

/// Switches: a key that becomes true.
constexpr Flag kSwitches[] = {
    {"--overwrite", "overwrite", "", "replace what an earlier job left in the output folder"},
    {"--ordered", "ordered", "", "rows in the order of the inputs"},
    {"--strict-return-length", "strict_return_length", "",
     "more rows than items make a failed try"},
    {"--fail-on-empty", "fail_on_empty", "", "an empty input is an error"},
    {"--reuse-by-content", "reuse_by_content", "",
     "compare inputs by content, not by size and time"},
};

std::pair<std::string, std::string> split_assignment(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail_usage("--set {}: expected KEY=VALUE", assignment);
  }
  return {assignment.substr(0, equals), assignment.substr(equals + 1)};
}

/// What a resumed job may change, and how it gets from one step to another.
struct Limit {
  const char* key;
  void (*copy)(const config::Step& from, config::Step& to);
};

template <auto Member>
void copy_member(const config::Step& from, config::Step& to) {
  to.*Member = from.*Member;
}

constexpr Limit kLimits[] = {
    {"error_threshold", copy_member<&config::Step::error_threshold>},
    {"allowed_failed_count", copy_member<&config::Step::allowed_failed_count>},
    {"allowed_failed_percent", copy_member<&config::Step::allowed_failed_percent>},
    {"run_max_try", copy_member<&config::Step::run_max_try>},
    {"run_invocation_timeout", copy_member<&config::Step::run_invocation_timeout>},
    {"task_overhead_timeout", copy_member<&config::Step::task_overhead_timeout>},
    {"progress_update_timeout", copy_member<&config::Step::progress_update_timeout>},
    {"first_task_creation_timeout", copy_member<&config::Step::first_task_creation_timeout>},
    {"process_count_per_node", copy_member<&config::Step::process_count_per_node>},
    {"logging_level", copy_member<&config::Step::logging_level>},
    {"resource_monitor_interval", copy_member<&config::Step::resource_monitor_interval_s>},
};

const Limit* find_limit(const std::string& key) {
  const auto found = std::find_if(std::begin(kLimits), std::end(kLimits),
                                  [&key](const Limit& limit) { return key == limit.key; });
  return found == std::end(kLimits) ? nullptr : &*found;
}

const config::SettingOrigin* find_origin(const config::Step& step, const std::string& key) {
  const auto found =
      std::find_if(step.origins.begin(), step.origins.end(),
                   [&key](const config::SettingOrigin& origin) { return origin.key == key; });
  return found == step.origins.end() ? nullptr : &*found;
}

/// The value, and its line of the table.
void copy_limit(const Limit& limit, const config::Step& from, config::Step& to) {
  limit.copy(from, to);
  const config::SettingOrigin* given = find_origin(from, limit.key);
  for (config::SettingOrigin& origin : to.origins) {
    if (given != nullptr && origin.key == limit.key) origin = *given;
  }
}

/// Settings that say how this start is made, not what the job is.
bool is_of_the_start(const std::string& key) {
  return key == "name" || key == "output" || key == "overwrite" || key == "allow_reuse" ||
         key == "reuse_by_content" || key == "resume_from";
}

}  // namespace

void add_step_options(CLI::App& command, StepOptions& options) {
  command.add_option("STEP", options.file, "step file: ours, or an Azure ML v2 parallel job")
      ->check(CLI::ExistingFile);
  command.add_option("--input", options.inputs, "files, folders, globs, @lists, IDX, NPY, tables")
      ->type_name("PATH");
  command.add_option("--set", options.assignments, "any setting: --set run_max_try=5")
      ->type_name("KEY=VALUE");
  command
      .add_option("--parameters", options.parameters,
                  "settings of this run in a YAML or JSON file: mini_batch_size: 20")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  for (const Flag& flag : kFlags) {
    command
        .add_option_function<std::string>(
            flag.name,
            [&options, flag](const std::string& value) {
              options.given.push_back({flag.key, value, flag.name});
            },
            flag.help)
        ->type_name(flag.value_name)
        ->take_last();
  }
  for (const Flag& flag : kSwitches) {
    command.add_flag_callback(
        flag.name,
        [&options, flag] {
          options.given.push_back({flag.key, "true", flag.name});
        },
        flag.help);
  }
}

config::Step build_step(const StepOptions& options) {
  config::StepBuilder builder;
  if (!options.file.empty()) builder.read_file(options.file);
  std::vector<config::Parameter> parameters = config::parameters_of_environment(environ);
  if (!options.parameters.empty()) {
    for (config::Parameter& one : config::read_parameters(options.parameters)) {
      // --input replaces the inputs, as it replaces those of the step file.
      if (one.key != "inputs" || options.inputs.empty()) parameters.push_back(std::move(one));
    }
  }
  for (const config::Parameter& one : parameters) builder.set(one.key, one.value, one.origin);
  for (const std::string& input : options.inputs) builder.add_input(input, "--input");
  for (const GivenSetting& setting : options.given) {
    builder.set(setting.key, setting.value, setting.origin);
  }
  for (const std::string& assignment : options.assignments) {
    const auto [key, value] = split_assignment(assignment);
    builder.set(key, value, "--set");
  }
  config::Step step = builder.build();
  dataset::settle_mini_batch_size(step);
  return step;
}

void override_limits(config::Step& step, const std::vector<std::string>& assignments) {
  if (assignments.empty()) return;
  // The checks of a new step hold for what is given here.
  config::StepBuilder builder;
  using Kind = config::EntrySpec::Kind;
  const Kind kind = step.entry.kind;
  builder.set(kind == Kind::kModel    ? "model"
              : kind == Kind::kPlugin ? "plugin"
                                      : "entry_script",
              step.entry.path.string(), "the job");
  for (const std::string& input : step.inputs) builder.add_input(input, "the job");
  if (step.rank_mini_batch_count > 0) {
    builder.set("rank_mini_batch_count", std::to_string(step.rank_mini_batch_count), "the job");
  }
  builder.set("output", step.output.string(), "the job");
  // Those that are kept count too: progress_update_timeout is computed from others.
  for (const Limit& limit : kLimits) {
    const config::SettingOrigin* then = find_origin(step, limit.key);
    if (then == nullptr || then->origin == "default" || then->origin == "computed") continue;
    builder.set(limit.key, then->value, then->origin);
  }
  for (const std::string& assignment : assignments) {
    const auto [key, value] = split_assignment(assignment);
    if (find_limit(key) == nullptr) {
      std::string known;
      for (const Limit& limit : kLimits)
        known += (known.empty() ? "" : ", ") + std::string(limit.key);
      fail_usage("--set {}: a resumed job can only change {}", assignment, known);
    }
    builder.set(key, value, "--set");
  }
  const config::Step checked = builder.build();
  for (const Limit& limit : kLimits) copy_limit(limit, checked, step);
}

void continue_with(const config::Step& now, config::Step& step) {
  struct Values {
    std::string then = "not set";
    std::string now = "not set";
  };
  std::map<std::string, Values> values;
  for (const config::SettingOrigin& origin : step.origins) values[origin.key].then = origin.value;
  for (const config::SettingOrigin& origin : now.origins) values[origin.key].now = origin.value;
  std::string differences;
  for (const auto& [key, value] : values) {
    if (value.then == value.now || find_limit(key) != nullptr || is_of_the_start(key)) continue;
    differences += fmt::format("\n  {}: {} then, {} now", key, value.then, value.now);
  }
  // Their values are not shown.
  if (now.environment_variables != step.environment_variables) {
    differences += "\n  environment_variables: other values";
  }
  if (!differences.empty()) {
    fail(ErrorCode::kInvalidArgument,
         "resume_from: the job was started with other settings:{}\nput them back, or run the step "
         "anew without resume_from",
         differences);
  }
  for (const Limit& limit : kLimits) copy_limit(limit, now, step);
}

}  // namespace prs::cli
