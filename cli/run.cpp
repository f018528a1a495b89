// `prs-gpu run` and `prs-gpu resume`: a step on worker processes.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <random>
#include <string>
#include <utility>

#include "choice.hpp"
#include "commands.hpp"
#include "errors.hpp"
#include "job_display.hpp"
#include "runtime/foreground.hpp"
#include "runtime/job_folder.hpp"
#include "runtime/orchestrator.hpp"
#include "runtime/plan.hpp"
#include "runtime/reuse.hpp"
#include "runtime/worker.hpp"
#include "step_options.hpp"
#include "store/history.hpp"
#include "store/journal.hpp"

namespace prs::cli {
namespace {

constexpr const char* kRunExamples = R"(
A step cuts its inputs into mini-batches, runs them on worker processes, retries what
fails, and leaves one output file and a log tree under OUTPUT/logs.

Examples:
  prs-gpu run --model lenet.onnx --input photos/ --output out
  prs-gpu run step.yml --set error_threshold=10 --workers 4
  prs-gpu run step.yml --dry-run            mini-batches, workers, GPUs, settings
  prs-gpu run --example > step.yml          a step file with every key explained
  prs-gpu run step.yml --debug              one mini-batch at this terminal: pdb works
  prs-gpu resume out                        after a failure, Ctrl-C or a crash

Exit codes: 0 completed, 3 completed with failures within the limits, 4 a limit was
exceeded, 5 workers could not start or made no progress, 6 system error, 2 the step or the
command line is wrong, 130 stopped by the user.
)";

/// J1: a step that is wrong, found out before anything starts, is a usage error; what the system
/// refuses is one of the system.
template <typename Body>
int with_job_exit_codes(const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    switch (error.code()) {
      case ErrorCode::kInvalidArgument:
      case ErrorCode::kInvalidModel:
      case ErrorCode::kUnsupported:
      case ErrorCode::kUnavailable:  // Another job uses the output folder.
        throw ExitError(error, kExitUsage);
      default:
        throw ExitError(error, runtime::kExitSystemError);
    }
  }
}

struct RunCommand {
  StepOptions step;
  bool dry_run = false;
  bool example = false;
  bool quiet = false;
  bool profile = false;
  bool debug = false;
  int debugpy_port = 0;
  std::string format = "text";
};

/// "score-photos-20261121-110512-3f9a"
std::string new_run_id(const std::string& name) {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &utc);
  return fmt::format("{}-{}-{:04x}", name, text, std::random_device()() & 0xFFFFU);
}

std::filesystem::path this_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

store::RunRecord history_record(const config::Step& step, const std::string& run_id) {
  store::RunRecord record;
  record.run_id = run_id;
  record.name = step.name;
  record.status = "running";
  record.output = std::filesystem::absolute(step.output).string();
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  record.created_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  return record;
}

/// The history is a convenience: a home that cannot be written to is no reason to fail.
void put_history(const store::RunRecord& record, JobDisplay& display) {
  try {
    store::History().put(record);
  } catch (const Error& error) {
    display.note("the run is missing in `prs-gpu runs`: " + error.message());
  }
}

/// `settings`: their identity when a later run may reuse this one's result, else "".
int run_to_the_end(const config::Step& step, const std::string& run_id, bool resume,
                   const std::string& settings, bool quiet, bool profile = false) {
  JobDisplay display(quiet);
  display.limits(config::limits_table(step));
  for (const std::string& note : step.notes) display.note("note: " + note);
  store::RunRecord record = history_record(step, run_id);
  bool in_history = false;
  runtime::RunOptions options;
  options.step = step;
  options.resume = resume;
  options.identify_inputs = !settings.empty();
  options.profile = profile;
  options.run_id = run_id;
  options.program = this_program();
  options.on_progress = [&](const monitor::JobStatus& status) {
    if (status.status == "running" || status.status == "stopping") display.show(status);
    record.mini_batches = status.mini_batches;
    record.items = status.items;
    record.failed_items = status.items_failed;
    record.status = status.status;
    record.reason = status.reason;
    // Not before: the history waits for the disk, and the workers are starting now.
    if (!std::exchange(in_history, true)) put_history(record, display);
  };
  options.on_note = [&](const std::string& text) { display.note(text); };
  const runtime::RunOutcome outcome = runtime::run_job(options);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  record.finished_us = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  if (!outcome.input_identity.empty()) {
    record.identity = runtime::step_identity(settings, outcome.input_identity);
  }
  put_history(record, display);
  display.result(outcome.result, logs::Paths(runtime::JobFolder(step.output).logs()));
  if (!outcome.profile.empty()) fmt::print(stderr, "\n{}", outcome.profile);
  return outcome.exit_code;
}

store::JobRecord read_job(const std::filesystem::path& output, const std::string& verb) {
  const runtime::JobFolder folder(output);
  if (folder.has_job()) {
    const store::Journal journal(folder.store(), true);
    if (std::optional<store::JobRecord> record = journal.job()) return *record;
  }
  fail(ErrorCode::kInvalidArgument, "{} holds no job to {}", output.string(), verb);
}

/// Continues the job whose record this is. `adapt` changes what may be changed of its step.
template <typename Adapt>
int continue_job(const std::filesystem::path& output, const store::JobRecord& record, bool quiet,
                 const Adapt& adapt) {
  if (record.status == "completed") {
    fmt::print(stderr, "prs-gpu: the job in {} is completed; there is nothing to resume\n",
               output.string());
    return kExitDone;
  }
  config::Step step = config::step_from_json(record.step_json);
  // The folder may have been moved since.
  step.output = std::filesystem::absolute(output);
  adapt(step);
  return run_to_the_end(step, record.run_id, true, "", quiet);
}

int resume(const std::filesystem::path& output, const std::vector<std::string>& assignments,
           bool quiet) {
  return continue_job(output, read_job(output, "resume"), quiet,
                      [&](config::Step& step) { override_limits(step, assignments); });
}

/// X1 as v2 has it: --resume_from RUN among a step's arguments. The run is that of the step's own
/// output folder; for any other the message says where it lies.
int resume_from(const config::Step& step, bool quiet) {
  if (runtime::JobFolder(step.output).has_job()) {
    const store::JobRecord record = read_job(step.output, "resume");
    if (record.run_id == step.resume_from) {
      return continue_job(step.output, record, quiet,
                          [&](config::Step& earlier) { continue_with(step, earlier); });
    }
  }
  const std::optional<store::RunRecord> run = store::History().find(step.resume_from);
  if (!run) {
    fail(ErrorCode::kInvalidArgument,
         "resume_from: there is no run {}; `prs-gpu runs` lists those there are", step.resume_from);
  }
  fail(
      ErrorCode::kInvalidArgument,
      "resume_from: run {} lies in {}, the step's output is {}; set output to the run's folder, or "
      "use `prs-gpu resume {}`",
      run->run_id, run->output, step.output.string(), run->output);
}

/// Becomes a worker with one mini-batch.
[[noreturn]] void run_alone(const config::Step& step, const dataset::MiniBatch& mini_batch,
                            const std::string& run_id, int debugpy_port) {
  if (debugpy_port != 0 && step.entry.kind != config::EntrySpec::Kind::kScript) {
    fail_usage("--debugpy: only a Python script (entry_script) can wait for its debugger");
  }
  for (const std::string& note : step.notes) fmt::print(stderr, "prs-gpu: note: {}\n", note);
  fmt::print(stderr, "prs-gpu: mini-batch {} in the foreground: {} items, from {}\n", mini_batch.id,
             mini_batch.items(), mini_batch.item_name(0));
  runtime::run_in_foreground(step, mini_batch, {run_id, this_program(), debugpy_port});
}

struct ReplayCommand {
  std::filesystem::path output;
  std::int64_t mini_batch = 0;
  int debugpy_port = 0;
};

int replay(const ReplayCommand& command) {
  const store::JobRecord record = read_job(command.output, "replay");
  config::Step step = config::step_from_json(record.step_json);
  // The folder may have been moved since.
  step.output = std::filesystem::absolute(command.output);
  run_alone(step, runtime::recorded_mini_batch(step.output, command.mini_batch), record.run_id,
            command.debugpy_port);
}

int run(const RunCommand& command) {
  if (command.example) {
    fmt::print("{}", config::example_step());
    return kExitDone;
  }
  const config::Step step = build_step(command.step);
  if (command.dry_run) {
    const runtime::Plan plan = runtime::plan_step(step);
    fmt::print("{}", command.format == "json" ? runtime::plan_json(step, plan)
                                              : runtime::plan_text(step, plan));
    return kExitDone;
  }
  if (command.debug || command.debugpy_port != 0) {
    const dataset::MiniBatch mini_batch = runtime::first_mini_batch(step);
    run_alone(step, mini_batch, new_run_id(step.name), command.debugpy_port);
  }
  if (!step.resume_from.empty()) return resume_from(step, command.quiet);
  std::string settings;
  if (step.allow_reuse) {
    settings = runtime::settings_identity(step);
    if (const auto reused = runtime::reuse_result(step, settings)) {
      fmt::print(stderr, "prs-gpu: {}\n", *reused);
      return kExitDone;
    }
  }
  return run_to_the_end(step, new_run_id(step.name), false, settings, command.quiet,
                        command.profile);
}

void add_debugpy(CLI::App& command, int& port) {
  command
      .add_option("--debugpy", port,
                  "in the foreground, a script waits for a debugger at 127.0.0.1:PORT (debugpy)")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535));
}

}  // namespace

void add_run(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("run", "Run a step: mini-batches on worker processes");
  auto options = std::make_shared<RunCommand>();
  add_step_options(*command, options->step);
  command->add_flag("--dry-run", options->dry_run, "print the plan, run nothing");
  command->add_option("--format", options->format, "of --dry-run: text, json")
      ->check(CLI::IsMember({"text", "json"}));
  command->add_flag("--example", options->example, "print a step file that explains itself");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
  command->add_flag("--profile", options->profile,
                    "in the end tell where the time went; a trace for Perfetto in the logs");
  command->add_flag("--debug", options->debug,
                    "one worker in the foreground, the first mini-batch, no timeout");
  add_debugpy(*command, options->debugpy_port);
  command->footer(kRunExamples);
  command->callback([options, &chosen] {
    chosen = [options] { return with_job_exit_codes([&] { return run(*options); }); };
  });
}

void add_resume(CLI::App& app, Command& chosen) {
  struct Options {
    std::filesystem::path output;
    std::vector<std::string> assignments;
    bool quiet = false;
  };
  CLI::App* command =
      app.add_subcommand("resume", "Continue a job that failed, was stopped or was killed");
  auto options = std::make_shared<Options>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command
      ->add_option("--set", options->assignments,
                   "another limit than before: --set error_threshold=100")
      ->type_name("KEY=VALUE");
  command->add_flag("-q,--quiet", options->quiet, "no progress");
  command->footer(
      "\nAccepted mini-batches are not run again. The settings are those of the first start;\n"
      "only limits, tries, timeouts, the number of workers, logging_level and\n"
      "resource_monitor_interval can be changed by --set.\n"
      "\nExamples:\n"
      "  prs-gpu resume out\n"
      "  prs-gpu resume out --set error_threshold=100\n");
  command->callback([options, &chosen] {
    chosen = [options] {
      return with_job_exit_codes(
          [&] { return resume(options->output, options->assignments, options->quiet); });
    };
  });
}

void add_replay(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("replay", "Run one mini-batch of a job again, in the foreground");
  auto options = std::make_shared<ReplayCommand>();
  command->add_option("OUTPUT", options->output, "output folder of the job")->required();
  command->add_option("--mini-batch", options->mini_batch, "its number, as the logs have it")
      ->type_name("N")
      ->required();
  add_debugpy(*command, options->debugpy_port);
  command->footer(
      "\nThe inputs are those that the job recorded, the settings those it ran with; there is no\n"
      "timeout, and stdin is yours, so that breakpoint() works. Rows go to standard output;\n"
      "what the entry writes into its output folder goes to OUTPUT/debug. The job itself is not\n"
      "changed. Exit codes: 0 run() returned, 1 it failed, 2 there is no such mini-batch.\n"
      "\nExamples:\n"
      "  prs-gpu replay out --mini-batch 17\n"
      "  prs-gpu replay out --mini-batch 17 --debugpy 5678\n");
  command->callback([options, &chosen] {
    chosen = [options] { return with_job_exit_codes([&] { return replay(*options); }); };
  });
}

void add_worker(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("worker", "");
  command->group("");  // Started by `run` and `replay` alone.
  auto foreground = std::make_shared<bool>(false);
  command->add_flag("--foreground", *foreground);
  command->callback([foreground, &chosen] {
    chosen = [foreground] {
      return *foreground ? runtime::run_foreground_worker() : runtime::run_worker();
    };
  });
}

}  // namespace prs::cli
