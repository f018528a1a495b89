// The subcommands of prs-gpu, one source file each.
//
// A subcommand declares its options when the program starts and, if the command line chooses it,
// hands main() the function to run. Its exit code: 0 done, 1 error, 2 usage, 3 some images failed,
// 69 no GPU to
// measure, 130 interrupted by Ctrl-C.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace prs::cli {

constexpr int kExitDone = 0;
constexpr int kExitError = 1;
constexpr int kExitUsage = 2;
constexpr int kExitSomeFailed = 3;
constexpr int kExitNoGpu = 69;  ///< As sysexits.h: a service is unavailable.
constexpr int kExitInterrupted = 130;

/// What the command line chose; returns the exit code.
using Command = std::function<int()>;

/// Each adds its subcommand to `app` and sets `chosen` when the command line names it. `chosen`
/// must outlive the parsing.
void add_score(CLI::App& app, Command& chosen);
void add_evaluate(CLI::App& app, Command& chosen);
void add_inspect(CLI::App& app, Command& chosen);
void add_verify(CLI::App& app, Command& chosen);
void add_quantize(CLI::App& app, Command& chosen);
void add_export_images(CLI::App& app, Command& chosen);
void add_bench(CLI::App& app, Command& chosen);
void add_run(CLI::App& app, Command& chosen);
void add_replay(CLI::App& app, Command& chosen);
void add_resume(CLI::App& app, Command& chosen);
void add_status(CLI::App& app, Command& chosen);
void add_runs(CLI::App& app, Command& chosen);
void add_logs(CLI::App& app, Command& chosen);
void add_metrics(CLI::App& app, Command& chosen);
void add_worker(CLI::App& app, Command& chosen);
void add_completion(CLI::App& app, Command& chosen);

/// Prints --version.
int print_version();

}  // namespace prs::cli
