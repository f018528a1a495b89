// A Python entry script (section E of docs/semantics.md): the interpreter inside the worker.
//
// What Python does better is in modules/prs_gpu_host.py; here are the interpreter's life, and what
// crosses the border: a mini-batch in, rows out, exceptions as Failure.

#include <pybind11/embed.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataset/dataset.hpp"
#include "dataset/table.hpp"
#include "entry/entry.hpp"
#include "entry/python/data_frame.hpp"
#include "entry/script.hpp"
#include "logs/log_tree.hpp"

namespace prs::entry {
namespace {

namespace fs = std::filesystem;
namespace py = pybind11;

/// As Python sees names of files: bytes that are no UTF-8 survive.
py::str text(const std::string& bytes) {
  PyObject* const object =
      PyUnicode_DecodeFSDefaultAndSize(bytes.data(), static_cast<py::ssize_t>(bytes.size()));
  if (object == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(object);
}

py::list texts(const std::vector<std::string>& values) {
  py::list list;
  for (const std::string& value : values) list.append(text(value));
  return list;
}

/// A PyConfig that is cleared with the scope.
class InterpreterConfig {
 public:
  InterpreterConfig() { PyConfig_InitPythonConfig(&config_); }
  ~InterpreterConfig() { PyConfig_Clear(&config_); }
  InterpreterConfig(const InterpreterConfig&) = delete;
  InterpreterConfig& operator=(const InterpreterConfig&) = delete;

  PyConfig& operator*() { return config_; }
  void set(wchar_t** field, const std::string& value) {
    check(PyConfig_SetBytesString(&config_, field, value.c_str()));
  }
  void start() { check(Py_InitializeFromConfig(&config_)); }

 private:
  static void check(const PyStatus& status) {
    if (PyStatus_Exception(status) == 0) return;
    throw Error(ErrorCode::kUnsupported,
                std::string("Python cannot be started: ") +
                    (status.err_msg == nullptr ? "it asked to exit" : status.err_msg));
  }
  PyConfig config_{};
};

/// Starts the interpreter as `python` would; packages are those of the environment that it is of.
void start_interpreter(const std::string& python) {
  // As python itself has them: a reader that is gone is an exception, no death.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  InterpreterConfig config;
  // SIGINT and SIGTERM end a worker as they end any program, without a trace (prs_gpu_host.py does
  // the rest: importing `signal` installs a handler all the same).
  (*config).install_signal_handlers = 0;
  (*config).parse_argv = 0;
  config.set(&(*config).program_name, python);
  config.set(&(*config).executable, python);
  // The standard library is always that of the library we are linked to; site.py finds the
  // packages of a virtual environment from the executable.
  config.set(&(*config).home, PRS_PYTHON_HOME);
  config.start();
}

/// The packages of an interpreter that belongs to no virtual environment and is not the system's:
/// site.py knows nothing of them. "" when there are none.
std::string foreign_packages(const fs::path& python) {
  const fs::path prefix = python.parent_path().parent_path();
  std::error_code error;
  for (const fs::path& folder : {prefix, python.parent_path()}) {
    if (fs::exists(folder / "pyvenv.cfg", error)) return "";
  }
  const fs::path packages = prefix / "lib" / "python" PRS_PYTHON_VERSION / "site-packages";
  return prefix != PRS_PYTHON_HOME && fs::is_directory(packages, error) ? packages.string() : "";
}

/// Holds the interpreter's lock for as long as the script may run; its threads run in between too.
class Lock {
 public:
  explicit Lock(PyThreadState*& state) : state_(state) {
    PyEval_RestoreThread(std::exchange(state_, nullptr));
  }
  ~Lock() {
    if (Py_IsInitialized() != 0) state_ = PyEval_SaveThread();
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  PyThreadState*& state_;
};

class ScriptEntry : public Entry {
 public:
  explicit ScriptEntry(const ScriptSetup& setup) {
    fs::create_directories(setup.folder);
    fs::current_path(setup.folder);
    const fs::path python =
        setup.step.entry.python.empty() ? fs::path(PRS_PYTHON_EXECUTABLE) : setup.step.entry.python;
    start_interpreter(python.string());
    call([&] {
      // Last: what the user has installed comes before our stand-ins.
      const py::object path = py::module_::import("sys").attr("path");
      for (const fs::path& folder : {setup.packages, setup.modules}) {
        path.attr("append")(text(folder.string()));
      }
      const py::module_ module = py::module_::import("prs_gpu_host");
      host_ = module.attr("Host")(settings(setup, python));
      host_.attr("load")();
      run_ = host_.attr("run");
      description_ = py::cast<std::string>(host_.attr("describe")());
    });
    state_ = PyEval_SaveThread();
  }

  ~ScriptEntry() override {
    // Without shutdown() the process is about to end: the interpreter goes with it.
    static_cast<void>(run_.release());
    static_cast<void>(host_.release());
  }

  void init() override {
    const Lock lock(state_);
    call([&] { host_.attr("init")(); });
  }

  void load(const dataset::MiniBatch& mini_batch, int attempt) override {
    attempt_ = attempt;
    table_ = {};  // Of a mini-batch that failed.
    if (mini_batch.is_table()) table_ = reader_.read(mini_batch);
  }

  Rows run(const dataset::MiniBatch& mini_batch) override {
    const Lock lock(state_);
    Rows rows;
    call([&] {
      py::dict partition;
      for (const auto& [key, value] : mini_batch.partition) partition[text(key)] = text(value);
      const auto result =
          py::cast<py::tuple>(run_(data(mini_batch), mini_batch.id, attempt_, partition));
      rows.text = py::cast<py::bytes>(result[0]);
      rows.count = py::cast<std::int64_t>(result[1]);
      rows.header = py::cast<std::string>(result[2]);
      rows.has_metrics = py::cast<bool>(result[3]);
    });
    return rows;
  }

  void shutdown() override {
    const Lock lock(state_);
    call([&] { host_.attr("shutdown")(); });
    run_ = {};
    host_ = {};
    // Threads are waited for, and what the script registered with atexit runs.
    Py_FinalizeEx();
  }

  std::string describe() const override { return description_; }

 private:
  /// What run() gets (E4): a DataFrame of its own, or the paths of the files.
  py::object data(const dataset::MiniBatch& mini_batch) {
    if (mini_batch.is_table()) return to_data_frame(std::exchange(table_, {}));
    py::list paths(mini_batch.files.size());
    for (std::size_t i = 0; i < mini_batch.files.size(); ++i) {
      paths[i] = text(mini_batch.files[i]);
    }
    return paths;
  }

  static py::dict settings(const ScriptSetup& setup, const fs::path& python) {
    const config::Step& step = setup.step;
    const Context& context = setup.context;
    const logs::Paths paths(context.logs);
    const int node = context.node_id;
    const std::string& process = context.agent_name;
    static constexpr std::array kFormats = {"text", "csv", "jsonl", "jsonl"};
    static constexpr std::array kLevels = {"WARNING", "INFO", "DEBUG"};
    py::dict side_inputs;
    for (const auto& [name, path] : step.side_inputs) side_inputs[text(name)] = text(path.string());
    using namespace py::literals;
    return py::dict(
        "script"_a = text(step.entry.path.string()),
        "source_directory"_a = text(step.entry.source_directory.string()),
        "argv"_a = texts(setup.arguments), "site_packages"_a = text(foreign_packages(python)),
        "output"_a = text(context.output_folder.string()),
        "user_stdout"_a = text(paths.user_stdout(node, process).string()),
        "user_stderr"_a = text(paths.user_stderr(node, process).string()),
        "entry_log"_a = text(paths.entry_log(node, process).string()),
        "profile"_a = text(paths.worker_profile(node, process).string()),
        "metrics"_a = text(context.metrics_file.string()), "agent_name"_a = text(process),
        "run_id"_a = text(context.run_id), "node_id"_a = node,
        "logging_level"_a = kLevels.at(static_cast<std::size_t>(step.logging_level)),
        "output_format"_a = kFormats.at(static_cast<std::size_t>(step.output_format)),
        "counts_only"_a = step.output_action == config::OutputAction::kSummaryOnly,
        "safe_output"_a = step.append_row_safe_output,
        "dataframe_header"_a = step.append_row_dataframe_header,
        "profiling_module"_a = step.profiling_module, "inputs"_a = texts(step.inputs),
        "side_inputs"_a = side_inputs, "stack_signal"_a = context.stack_signal,
        "foreground"_a = context.foreground, "debugpy_port"_a = context.debugpy_port);
  }

  /// Calls `body`; what Python raises in it is a Failure with the script's own words.
  template <typename Body>
  void call(const Body& body) const {
    try {
      body();
    } catch (py::error_already_set& error) {
      throw failure(error);
    }
  }

  Failure failure(py::error_already_set& error) const {
    const bool out_of_memory = error.matches(PyExc_MemoryError);
    const ErrorCode code = out_of_memory ? ErrorCode::kOutOfMemory : ErrorCode::kInvalidArgument;
    std::pair<std::string, std::string> words;
    try {
      // pybind11 2.10 leaves exceptions as Python raised them: not yet instances, without a trace.
      PyObject* parts[3] = {error.type().inc_ref().ptr(), error.value().inc_ref().ptr(),
                            error.trace().inc_ref().ptr()};
      PyErr_NormalizeException(&parts[0], &parts[1], &parts[2]);
      const auto type = py::reinterpret_steal<py::object>(parts[0]);
      const auto value = py::reinterpret_steal<py::object>(parts[1]);
      const auto trace = py::reinterpret_steal<py::object>(parts[2]);
      if (trace) PyException_SetTraceback(value.ptr(), trace.ptr());
      if (host_) {
        const auto both = py::cast<py::tuple>(host_.attr("describe_error")(value));
        words = {py::cast<std::string>(both[0].attr("encode")("utf-8", "backslashreplace")),
                 py::cast<std::string>(both[1].attr("encode")("utf-8", "backslashreplace"))};
      } else {
        words.first = py::cast<std::string>(py::str(value));
      }
    } catch (py::error_already_set& second) {
      // Out of memory once more, or an exception that cannot be written down.
      words = {out_of_memory ? "MemoryError" : "an exception that cannot be described", ""};
    }
    return {code, std::move(words.first), std::move(words.second)};
  }

  dataset::TableReader reader_;
  dataset::Table table_;            ///< Of the mini-batch that was loaded,
  int attempt_ = 0;                 ///< and which try of it this is.
  PyThreadState* state_ = nullptr;  ///< Of this thread while it does not hold the lock.
  py::object host_;
  py::object run_;
  std::string description_;
};

}  // namespace
}  // namespace prs::entry

extern "C" {

__attribute__((visibility("default"))) prs::entry::Entry* prs_python_script(
    const prs::entry::ScriptSetup& setup) {
  return std::make_unique<prs::entry::ScriptEntry>(setup).release();
}

__attribute__((visibility("default"))) const char* prs_python_abi() {
  static const std::string kAbi = prs::entry::script_abi();
  return kAbi.c_str();
}
}
