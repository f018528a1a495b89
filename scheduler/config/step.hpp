// A step: everything `prs-gpu run` needs to know, read from a YAML file, flags and --set, checked
// before anything starts (section C of docs/semantics.md).
//
//   StepBuilder builder;
//   builder.read_file("step.yml");                  // v1 names, v2 names, or a v2 pipeline.yml
//   builder.set("mini_batch_size", "20", "--set");  // later values win, as pipeline parameters do
//   const Step step = builder.build();              // throws prs::Error, a line a problem
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prs::config {

using Seconds = std::chrono::duration<double>;

enum class OutputAction { kAppendRow, kSummaryOnly };
enum class LoggingLevel { kWarning, kInfo, kDebug };
/// Where rules of the specification disagree (E7, T2): ours, or one reading of Azure's texts.
enum class Compat { kOurs, kV1, kV2, kStrict };
enum class OutputFormat { kText, kCsv, kJsonLines, kParquet };

/// What the inputs are (D1): found out from their names, or as the step says.
enum class InputKind { kAuto, kFiles, kTabular };

/// D2, D3: files, bytes or rows a mini-batch.
struct MiniBatchSize {
  enum class Unit { kItems, kBytes, kRows };
  Unit unit = Unit::kItems;
  std::int64_t value = 10;
  bool given = true;  ///< False: nobody chose it; tables then have a default of their own (D4).

  bool operator==(const MiniBatchSize&) const = default;
};

/// What the workers run.
struct EntrySpec {
  enum class Kind { kModel, kPlugin, kScript };
  Kind kind = Kind::kModel;
  std::filesystem::path path;  ///< The model, the .so, or the script.
  /// Of a script (then always there) or a plugin (may be empty).
  std::filesystem::path source_directory;
  std::filesystem::path python;  ///< The interpreter whose packages a script uses; empty: ours.
  std::filesystem::path model;   ///< What a script's AZUREML_MODEL_DIR leads to; may be empty.
  /// `arguments` / program_arguments, without the system options that stood among them.
  std::vector<std::string> arguments;

  bool operator==(const EntrySpec&) const = default;
};

/// One effective setting, for the table at start (C3), --dry-run and inspection.
struct SettingOrigin {
  std::string key;     ///< The v1 name.
  std::string value;   ///< As text.
  std::string unit;    ///< "items", "mini-batches", "seconds", "percent", or "".
  std::string origin;  ///< "default", "computed", "step.yml:12", "--set", "--mini-batch-size", ...

  bool operator==(const SettingOrigin&) const = default;
};

/// Every path in it is absolute.
struct Step {
  std::string name = "step";
  EntrySpec entry;
  std::vector<std::string> inputs;  ///< Files, folders, globs, @lists; in order (D1).
  std::filesystem::path output;     ///< The output folder.
  std::map<std::string, std::filesystem::path> side_inputs;
  std::map<std::string, std::string> environment_variables;

  InputKind input_kind = InputKind::kAuto;
  MiniBatchSize mini_batch_size;
  std::vector<std::string> partition_keys;  ///< D8; empty: mini_batch_size cuts.
  std::string partition_format;             ///< D8; "" for none.
  std::int64_t rank_mini_batch_count = -1;  ///< D9: mini-batches without input; -1: none.
  std::int64_t error_threshold = -1;        ///< Items; -1: no limit.
  std::int64_t allowed_failed_count = -1;   ///< Mini-batches; -1: no limit.
  double allowed_failed_percent = 100;      ///< Percent of mini-batches.
  OutputAction output_action = OutputAction::kAppendRow;
  std::string append_row_file_name = "parallel_run_step.txt";
  OutputFormat output_format = OutputFormat::kText;
  bool append_row_safe_output = false;
  bool append_row_dataframe_header = false;
  int node_count = 1;
  int process_count_per_node = 0;  ///< 0: one where GPUs are present, else the number of cores.
  Seconds run_invocation_timeout{60};
  Seconds task_overhead_timeout{30};
  Seconds progress_update_timeout{600};
  Seconds first_task_creation_timeout{600};
  int run_max_try = 3;
  LoggingLevel logging_level = LoggingLevel::kInfo;
  std::int64_t resource_monitor_interval_s = 600;  ///< 0: off.
  std::string profiling_module;                    ///< "", "cProfile" or "profile".
  std::string resume_from;                         ///< A run's id; "": a new run.
  bool allow_reuse = true;

  // Ours.
  std::string device = "auto";  ///< As EngineOptions::device: what a worker's engine uses.
  int gpus_per_worker = 1;      ///< 0: all of the node.
  bool gpuless_unset = false;   ///< G3: leave CUDA_VISIBLE_DEVICES unset instead of empty.
  Compat compat = Compat::kOurs;
  bool strict_return_length = false;
  bool fail_on_empty = false;
  bool ordered = false;    ///< O3: rows sorted by mini-batch.
  bool overwrite = false;  ///< O5.
  bool reuse_by_content = false;
  std::int64_t worker_memory_limit_bytes = 0;  ///< 0: none.
  std::int64_t top_k = 1;                      ///< Of the built-in entry's rows.
  /// Of the built-in entry, only those that were given, checked: scale ("0.5"), mean and std
  /// ("0.5" or "0.485,0.456,0.406"), invert and resize ("true", "false"; resize may also be "WxH"),
  /// layout ("nchw", ...), channels ("1", "3"), channel_order ("rgb", "bgr"), output (a name),
  /// class_names (an absolute path), batch, threads and max_pixels (numbers), columns
  /// ("age,height").
  std::map<std::string, std::string> model_options;

  std::vector<SettingOrigin> origins;  ///< One a setting, in the order of the table.
  std::vector<std::string> notes;      ///< Keys that mean nothing locally, choices made, ...

  bool operator==(const Step&) const = default;
};

/// Collects settings by precedence (file < set() in call order) and checks them all together. Not
/// thread-safe.
class StepBuilder {
 public:
  StepBuilder();
  ~StepBuilder();
  StepBuilder(StepBuilder&&) noexcept;
  StepBuilder& operator=(StepBuilder&&) noexcept;

  /// Reads a step file, at most one: a flat mapping of v1 or v2 keys, a v2 parallel component or
  /// job, or a v2 pipeline.yml with one `type: parallel` job (of several, set("job", NAME) chooses
  /// one). v2's defaults hold for a file with $schema, type, task or jobs. Paths in it are relative
  /// to its folder. Throws io; invalid argument (file:line:column) for what is no YAML, repeats a
  /// key, or is larger than 1 MiB or 20,000 nodes with all aliases expanded.
  void read_file(const std::filesystem::path& path);

  /// One setting from the command line, by v1 or v2 name (dotted for nested keys:
  /// retry_settings.timeout, environment_variables.NAME, side_inputs.NAME, model_options.scale; and
  /// inputs.NAME for the path or value of a v2 input). `origin` is shown in errors and in the
  /// table. Paths are relative to the working directory; `arguments` is split as a shell would.
  /// Throws invalid argument for an unknown key, naming the nearest one.
  void set(const std::string& key, const std::string& value, const std::string& origin);

  /// Appends to `inputs` (the first call replaces those of the file).
  void add_input(const std::string& input, const std::string& origin);

  /// Checks everything and gives the step. Throws one error whose message lists every problem, a
  /// line each: where it was set, key, value, allowed range. Its code is invalid argument;
  /// unsupported when all that is wrong is asking for what is not there yet.
  Step build() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Every key that set() takes, sorted, for shell completion and documentation.
/// Those that are followed by a name of the user's own end with a dot ("side_inputs.").
std::vector<std::string> known_keys();

/// A commented example of a step file, for `prs-gpu run --example`.
std::string example_step();

/// The table of C3 as aligned text lines: setting, value, unit, where from.
std::string settings_table(const Step& step);

/// The same of the limits alone: mini-batches, failures, tries, timeouts and workers.
std::string limits_table(const Step& step);

/// All of a step as one JSON object, so that the journal can run it again. Bytes that are no UTF-8
/// (file names may have them) survive.
std::string to_json(const Step& step);

/// The inverse. Throws invalid argument for anything that to_json() of this version cannot have
/// written.
Step step_from_json(const std::string& json);

}  // namespace prs::config
