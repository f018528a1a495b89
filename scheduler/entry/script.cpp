#include "entry/script.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <prs/error.hpp>
#include <system_error>

#include "entry/kinds.hpp"

namespace prs::entry {
namespace {

namespace fs = std::filesystem;

/// Of the names that a script without run() does define.
constexpr std::size_t kMaxNames = 10;

[[noreturn]] void fail(const config::Step& step, const std::string& what,
                       ErrorCode code = ErrorCode::kInvalidArgument) {
  throw Error(code, fmt::format("entry script {}: {}", step.entry.path.string(), what));
}

/// Where this program was built or installed to: both trees look alike from bin/ on.
fs::path installed(const char* relative) {
  return (fs::read_symlink("/proc/self/exe").parent_path() / ".." / relative).lexically_normal();
}

fs::path module_path() { return installed(PRS_LIBDIR "/prs-gpu/libprs_python.so"); }
fs::path packages_folder() { return installed(PRS_LIBDIR "/prs-gpu/python"); }
fs::path modules_folder() { return installed(PRS_DATADIR "/prs-gpu/python"); }

void check_module(const config::Step& step) {
  const char* const kHelp =
      "install python3-dev and pybind11-dev (scripts/install-deps.sh --build), configure and build "
      "again";
  std::error_code error;
  if (std::string_view(PRS_PYTHON_VERSION).empty()) {
    fail(step, fmt::format("this prs-gpu was built without Python: {}", kHelp),
         ErrorCode::kUnsupported);
  }
  for (const fs::path& path : {module_path(), modules_folder() / "prs_gpu_check.py"}) {
    if (fs::exists(path, error)) continue;
    fail(step, fmt::format("{} is missing: install all of prs-gpu, or {}", path.string(), kHelp),
         ErrorCode::kUnsupported);
  }
}

fs::path interpreter(const config::Step& step) {
  return step.entry.python.empty() ? fs::path(PRS_PYTHON_EXECUTABLE) : step.entry.python;
}

struct Output {
  std::string text;
  int status = 0;  ///< As waitpid gives it.
};

/// Runs a program to its end; what it writes to stdout and stderr comes back.
Output run_program(const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category());
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  Output output;
  if (error == 0) {
    char buffer[4096];
    ssize_t size = 0;
    while ((size = ::read(ends[0], buffer, sizeof buffer)) > 0 || (size < 0 && errno == EINTR)) {
      if (size > 0) output.text.append(buffer, static_cast<std::size_t>(size));
    }
    while (::waitpid(pid, &output.status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  if (error != 0) throw std::system_error(error, std::generic_category());
  return output;
}

/// What prs_gpu_check.py says about the script.
nlohmann::json inspect(const config::Step& step) {
  const std::string python = interpreter(step).string();
  Output output;
  try {
    // -I: neither the environment nor the working folder has a say in how a script is looked at.
    output =
        run_program({python, "-I", "-S", "-B", (modules_folder() / "prs_gpu_check.py").string(),
                     step.entry.path.string()});
  } catch (const std::system_error& error) {
    fail(step,
         fmt::format("cannot start the interpreter {}: {}; {}", python, error.code().message(),
                     step.entry.python.empty() ? "install python3"
                                               : "python names one that can be started"));
  }
  nlohmann::json report = nlohmann::json::parse(output.text, nullptr, false);
  if (output.status != 0 || !report.is_object()) {
    fail(step, fmt::format("the interpreter {} failed (wait status {}): {}", python, output.status,
                           output.text));
  }
  return report;
}

void check_interpreter(const config::Step& step, const nlohmann::json& report) {
  const auto version = report.at("version").get<std::vector<int>>();
  const std::string found = fmt::format("{}", fmt::join(version, "."));
  if (found != PRS_PYTHON_VERSION) {
    fail(step,
         fmt::format("{} is Python {}, this prs-gpu runs Python {}: make an environment of "
                     "that version with {} -m venv FOLDER",
                     interpreter(step).string(), found, PRS_PYTHON_VERSION, PRS_PYTHON_EXECUTABLE));
  }
  const std::string itself = report.at("executable").get<std::string>();
  std::error_code error;
  if (!step.entry.python.empty() && !fs::equivalent(itself, step.entry.python, error)) {
    fail(step, fmt::format("{} starts another interpreter, {}; name that one",
                           step.entry.python.string(), itself));
  }
}

const char* level_text(config::LoggingLevel level) {
  switch (level) {
    case config::LoggingLevel::kWarning:
      return "WARNING";
    case config::LoggingLevel::kDebug:
      return "DEBUG";
    case config::LoggingLevel::kInfo:
      break;
  }
  return "INFO";
}

std::string size_text(const config::MiniBatchSize& size) {
  using Unit = config::MiniBatchSize::Unit;
  if (size.unit == Unit::kBytes && size.value % 1024 == 0) {
    return fmt::format("{}KB", size.value / 1024);
  }
  return fmt::format("{}{}", size.unit == Unit::kRows ? "rows:" : "", size.value);
}

}  // namespace

void check_script(const config::Step& step) {
  check_module(step);
  const nlohmann::json report = inspect(step);
  check_interpreter(step, report);
  if (const std::string error = report.at("error").get<std::string>(); !error.empty()) {
    fail(step, error);
  }
  auto names = report.at("names").get<std::vector<std::string>>();
  const bool known = std::find(names.begin(), names.end(), "run") != names.end();
  // What `from module import *` brings shows when the script is loaded.
  if (known || !report.at("stars").empty()) return;
  const std::size_t more = names.size() - std::min(names.size(), kMaxNames);
  names.resize(names.size() - more);
  std::string defined = names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
  if (more > 0) defined += fmt::format(" and {} more", more);
  fail(step, fmt::format("defines no function run(mini_batch); it defines {}", defined));
}

std::vector<std::string> script_arguments(const config::Step& step, const Context& context) {
  const bool append = step.output_action == config::OutputAction::kAppendRow;
  std::vector<std::string> arguments = {step.entry.path.string(),
                                        "--mini_batch_size",
                                        size_text(step.mini_batch_size),
                                        "--error_threshold",
                                        std::to_string(step.error_threshold),
                                        "--output_action",
                                        append ? "append_row" : "summary_only",
                                        "--logging_level",
                                        level_text(step.logging_level),
                                        "--run_invocation_timeout",
                                        fmt::format("{}", step.run_invocation_timeout.count()),
                                        "--run_max_try",
                                        std::to_string(step.run_max_try),
                                        "--append_row_file_name",
                                        step.append_row_file_name,
                                        "--output",
                                        context.output_folder.string(),
                                        "--process_count_per_node",
                                        std::to_string(context.process_count)};
  arguments.insert(arguments.end(), step.entry.arguments.begin(), step.entry.arguments.end());
  return arguments;
}

std::unique_ptr<Entry> load_script(const config::Step& step, const Context& context) {
  check_module(step);
  // For all: Python's extension modules find the interpreter's symbols among the program's.
  void* const library = ::dlopen(module_path().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) fail(step, ::dlerror(), ErrorCode::kUnsupported);
  const auto abi = reinterpret_cast<ScriptAbiFunction>(::dlsym(library, kScriptAbiSymbol));
  const auto script = reinterpret_cast<ScriptFunction>(::dlsym(library, kScriptSymbol));
  if (abi == nullptr || script == nullptr || script_abi() != abi()) {
    fail(step,
         fmt::format("{} is of another build than this prs-gpu ({}, {}): install both anew",
                     module_path().string(), abi == nullptr ? "unknown" : abi(), script_abi()),
         ErrorCode::kUnsupported);
  }
  const fs::path folder = ::access(step.entry.source_directory.c_str(), W_OK) == 0
                              ? step.entry.source_directory
                              : context.work_folder;
  return std::unique_ptr<Entry>(script({step, context, modules_folder(), packages_folder(), folder,
                                        script_arguments(step, context)}));
}

}  // namespace prs::entry
