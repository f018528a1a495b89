// What a worker runs (section E of docs/semantics.md): init() once, run() for each mini-batch,
// shutdown() at an orderly end. Three kinds: an ONNX model (model_entry.cpp), a native plugin
// (plugin_entry.cpp, <prs/entry_plugin.h>), and a Python script (script.hpp).
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <prs/error.hpp>

#include "config/step.hpp"
#include "dataset/dataset.hpp"
#include "monitor/profile.hpp"

namespace prs::entry {

/// What an entry may know of its surroundings (E10, E11).
struct Context {
  std::filesystem::path output_folder;
  std::filesystem::path log_folder;  ///< logs/user/entry_script_log/<node_id>
  std::filesystem::path logs;        ///< The root of the log tree.
  /// Of the run: what a script runs in when its own folder cannot be written to.
  std::filesystem::path work_folder;
  std::filesystem::path metrics_file =
      {};                  ///< Metrics are appended to it; "": they are shown only.
  std::string agent_name;  ///< "process000"
  std::string run_id;
  int node_id = 0;
  int process_count = 1;    ///< Workers of the node.
  int stack_signal = 0;     ///< The signal at which a worker writes its stack to stderr.
  int shared_weights = -1;  ///< EngineOptions::shared_weights, of the node's workers.
  /// The entry has the terminal: streams are not redirected, Ctrl-C is the script's.
  bool foreground = false;
  profile::Recorder* profile = nullptr;  ///< Null: nobody wants to know.
  int debugpy_port = 0;                  ///< A script waits there for a debugger (debugpy); 0: no.
};

/// A failure of the user's own code, told in its words.
class Failure : public Error {
 public:
  /// `message`: one line with the place in the code; `trace`: all there is to know, or "".
  Failure(ErrorCode code, std::string message, std::string trace)
      : Error(code, std::move(message)), trace_(std::move(trace)) {}
  const std::string& trace() const noexcept { return trace_; }

 private:
  std::string trace_;
};

/// What run() gave back: rows in order, ready for the output file (each ends with '\n').
struct Rows {
  std::string text;        ///< All rows, one after the other; empty for summary_only (O1).
  std::int64_t count = 0;  ///< E6: success is counted by it alone.
  std::string header;      ///< For formats that have one; equal for every mini-batch.
  /// Items that failed, with the reason, for the logs ("photos/7.png: truncated PNG").
  std::vector<std::string> item_errors;
  bool has_metrics = false;  ///< Something was appended to Context::metrics_file.
};

/// What run_together() gives for one of its mini-batches.
struct SharedResult {
  Rows rows;
  double work_s = 0;  ///< What reading, computing and writing its rows took, on all threads.
};

/// Used by one thread. Every function may throw anything: the worker makes a failed try of it.
class Entry {
 public:
  virtual ~Entry() = default;
  virtual void init() = 0;
  /// What must be read before run() of the same mini-batch, whose try `attempt` (from 1) this is;
  /// its time is not run()'s (W4).
  virtual void load(const dataset::MiniBatch&, int /*attempt*/) {}
  virtual Rows run(const dataset::MiniBatch& mini_batch) = 0;
  /// Whether run_together() may take `next` with `group` (not empty), which joined before. An entry
  /// whose run() is of somebody else's making never says so: it is called for one at a time (E3).
  virtual bool joins(std::span<const dataset::MiniBatch>, const dataset::MiniBatch&) const {
    return false;
  }
  /// run() for mini-batches that join, at less cost than one after the other. The results, in their
  /// order, are those of run(). When it throws, none of them has a result.
  virtual std::vector<SharedResult> run_together(std::span<const dataset::MiniBatch> group);
  /// Whether there is any use in read_ahead().
  virtual bool reads_ahead() const { return false; }
  /// This group will be run after the next call of run_together(): the entry may begin to read it
  /// at once. It stays where it is until it is run or forget() is called. Whether it did.
  virtual bool read_ahead(std::span<const dataset::MiniBatch>) { return false; }
  /// What read_ahead() was given will not be run.
  virtual void forget() {}
  virtual void shutdown() = 0;
  /// One line for the log, after init: the model, the device it really uses, ...
  virtual std::string describe() const = 0;
};

/// Loads the entry (E1): a plugin's symbols are resolved here, a model is read in init(). Throws
/// invalid argument naming what is missing and what is there.
std::unique_ptr<Entry> load_entry(const config::Step& step, const Context& context);

/// Checks before any worker starts that the entry can be loaded, without running any of it: a model
/// is read and prepared on the CPU with the step's model_options, a plugin's symbols are looked up
/// in its file, a script is parsed by its interpreter. Throws as load_entry and, for a model, its
/// init(). `gpuless` says why a worker will be given no GPU, if so: a model is then refused a
/// device or a precision that only GPUs have.
void check_entry(const config::Step& step, const std::optional<std::string>& gpuless = {});

}  // namespace prs::entry
