#include "step_options.hpp"

#include <CLI/CLI.hpp>

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
    {"--plugin", "plugin", "SO", "native entry: a shared library (see <prs/entry_plugin.h>)"},
    {"--output", "output", "DIR", "output folder"},
    {"--name", "name", "NAME", "name of the step"},
    {"--mini-batch-size", "mini_batch_size", "N", "items of a mini-batch: 10, rows:500, 1MB"},
    {"--workers", "process_count_per_node", "N", "worker processes (GPUs there: 1, else cores)"},
    {"--gpus-per-worker", "gpus_per_worker", "N|all", "GPUs each worker is given (1)"},
    {"--gpuless-workers", "gpuless_workers", "none|unset",
     "CUDA_VISIBLE_DEVICES of workers without a GPU"},
    {"--device", "device", "D", "auto, cpu, cuda"},
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

}  // namespace

void add_step_options(CLI::App& command, StepOptions& options) {
  command.add_option("STEP", options.file, "step file: ours, or an Azure ML v2 parallel job")
      ->check(CLI::ExistingFile);
  command.add_option("--input", options.inputs, "images: files, folders, globs, @lists, IDX, NPY")
      ->type_name("PATH");
  command.add_option("--set", options.assignments, "any setting: --set run_max_try=5")
      ->type_name("KEY=VALUE");
  for (const Flag& flag : kFlags) {
    command
        .add_option_function<std::string>(
            flag.name,
            [&options, flag](const std::string& value) {
              options.given.push_back({flag.key, value, flag.name});
            },
            flag.help)
        ->type_name(flag.value_name);
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
  for (const std::string& input : options.inputs) builder.add_input(input, "--input");
  for (const GivenSetting& setting : options.given) {
    builder.set(setting.key, setting.value, setting.origin);
  }
  for (const std::string& assignment : options.assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      fail_usage("--set {}: expected KEY=VALUE", assignment);
    }
    builder.set(assignment.substr(0, equals), assignment.substr(equals + 1), "--set");
  }
  return builder.build();
}

}  // namespace prs::cli
