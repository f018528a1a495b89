// prs-gpu: the command line. Parses it, runs the subcommand, and turns whatever goes wrong into one
// line on standard error and an exit code (commands.hpp).

#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <vector>

#include <prs/error.hpp>

#include "choice.hpp"
#include "commands.hpp"
#include "errors.hpp"
#include "output.hpp"
#include "text.hpp"

namespace prs::cli {
namespace {

constexpr const char* kDescription =
    "Scores images with ONNX models, on the CPU or on CUDA devices of this machine.";
constexpr const char* kExamples = R"(Examples:
  prs-gpu run --model lenet.onnx --input photos/ --output out    a job on worker processes
  prs-gpu score --model lenet.onnx photos/            name and class of every image in a folder
  prs-gpu inspect lenet.onnx                          what is in a model, and how it will run
  prs-gpu evaluate --model lenet.onnx --labels labels.csv photos/
  prs-gpu score --help                                more on one command
)";

int report(const std::string& message, int exit_code) {
  fmt::print(stderr, "prs-gpu: error: {}\n", message);
  return exit_code;
}

const CLI::App& chosen_app(const CLI::App& app) {
  const std::vector<CLI::App*> commands = app.get_subcommands();
  return commands.empty() ? app : *commands.front();
}

std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* level = &app; level != nullptr; level = level->get_parent()) {
    for (const CLI::Option* option : level->get_options()) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
  }
  return names;
}

/// What to say about an argument that nothing takes.
std::string unexpected_argument(const CLI::App& app, const std::string& argument) {
  const CLI::App& command = chosen_app(app);
  std::string message;
  std::vector<std::string> known;
  if (argument.starts_with('-')) {
    message = fmt::format("unknown option {}", argument.substr(0, argument.find('=')));
    known = long_options(command);
  } else if (&command == &app) {
    message = fmt::format("unknown command {}", argument);
    for (const CLI::App* known_command : app.get_subcommands({})) {
      known.push_back(known_command->get_name());
    }
  } else {
    return fmt::format("unexpected argument {}", argument);
  }
  const auto suggestion = nearest(argument.substr(0, argument.find('=')), known);
  return suggestion ? fmt::format("{}; did you mean {}?", message, *suggestion) : message;
}

int usage_error(const CLI::App& app, const std::string& message) {
  const CLI::App& command = chosen_app(app);
  return report(fmt::format("{}\nTry: prs-gpu{} --help", message,
                            &command == &app ? "" : " " + command.get_name()),
                kExitUsage);
}

int run(CLI::App& app, const Command& chosen, bool version) {
  if (version) return print_version();
  if (!chosen) {
    fmt::print(stderr, "{}", app.help());
    return kExitUsage;
  }
  try {
    return chosen();
  } catch (const UsageError& error) {
    return usage_error(app, error.what());
  }
}

int parse_and_run(int argc, char** argv) {
  // Also when the parent ignores it: "prs-gpu ... | head" ends quietly.
  std::signal(SIGPIPE, SIG_DFL);
  // A file that may not grow further (ulimit -f) is an error like a full disk, not a death.
  std::signal(SIGXFSZ, SIG_IGN);
  const auto logger = spdlog::stderr_color_st("prs-gpu");
  logger->set_pattern("prs-gpu: %^%l%$: %v");
  spdlog::set_default_logger(logger);

  CLI::App app(kDescription, "prs-gpu");
  app.footer(kExamples);
  app.fallthrough();
  app.require_subcommand(0, 1);
  bool version = false;
  app.add_flag("--version", version, "What this build is, and what it finds on this machine");
  spdlog::level::level_enum level = spdlog::level::info;
  add_choice<spdlog::level::level_enum>(app, "--log-level", level,
                                        {{"trace", spdlog::level::trace},
                                         {"debug", spdlog::level::debug},
                                         {"info", spdlog::level::info},
                                         {"warn", spdlog::level::warn},
                                         {"error", spdlog::level::err},
                                         {"off", spdlog::level::off}},
                                        "trace, debug, info, warn, error or off");
  Command chosen;
  add_score(app, chosen);
  add_evaluate(app, chosen);
  add_inspect(app, chosen);
  add_verify(app, chosen);
  add_quantize(app, chosen);
  add_export_images(app, chosen);
  add_bench(app, chosen);
  add_run(app, chosen);
  add_resume(app, chosen);
  add_replay(app, chosen);
  add_status(app, chosen);
  add_runs(app, chosen);
  add_logs(app, chosen);
  add_metrics(app, chosen);
  add_worker(app, chosen);
  add_completion(app, chosen);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help
    std::ostringstream help;
    const int exit_code = app.exit(success, help);
    print(help.str());  // Unlike std::cout it tells when nothing can be written.
    return exit_code;
  } catch (const CLI::ExtrasError&) {
    return usage_error(app, unexpected_argument(app, app.remaining(true).front()));
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error.what());
  }
  spdlog::set_level(level);
  return run(app, chosen, version);
}

}  // namespace
}  // namespace prs::cli

int main(int argc, char** argv) {
  using prs::cli::kExitError;
  using prs::cli::report;
  try {
    return prs::cli::parse_and_run(argc, argv);
  } catch (const prs::cli::ExitError& error) {
    return report(error.message(), error.exit_code());
  } catch (const prs::Error& error) {
    return report(error.message(), kExitError);
  } catch (const std::bad_alloc&) {
    return report("out of memory", kExitError);
  } catch (const std::exception& error) {
    return report(error.what(), kExitError);
  }
}
