// A native entry: a shared library with the C interface of <prs/entry_plugin.h>.
#include <dlfcn.h>
#include <fmt/format.h>

#include <fstream>
#include <prs/error.hpp>
#include <utility>
#include <vector>

#include "entry/kinds.hpp"
#include "prs/entry_plugin.h"

namespace prs::entry {
namespace {

constexpr const char* kSymbol = "prs_entry_plugin";

[[noreturn]] void fail(const std::filesystem::path& plugin, const std::string& what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("plugin {}: {}", plugin.string(), what));
}

/// What a call of the plugin has reported through its host.
struct Report {
  Rows* rows = nullptr;
  bool escape = false;  ///< append_row_safe_output
  std::string error;
};

void append_row(Report& report, std::string_view text) {
  std::string& out = report.rows->text;
  if (report.escape) {
    for (const char c : text) {
      if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (c == '\\') {
        out += "\\\\";
      } else {
        out += c;
      }
    }
  } else {
    out += text;
  }
  out += '\n';
  ++report.rows->count;
}

prs_host host_of(Report& report) {
  prs_host host{};
  host.self = &report;
  host.row = [](void* self, const char* text, size_t size) {
    Report& to = *static_cast<Report*>(self);
    if (to.rows != nullptr) append_row(to, {text, size});
  };
  host.item_error = [](void* self, const char* item, const char* reason) {
    Report& to = *static_cast<Report*>(self);
    if (to.rows != nullptr) to.rows->item_errors.push_back(fmt::format("{}: {}", item, reason));
  };
  host.error = [](void* self, const char* message) { static_cast<Report*>(self)->error = message; };
  return host;
}

class PluginEntry final : public Entry {
 public:
  PluginEntry(const config::Step& step, const Context& context) : step_(step), context_(context) {
    const std::filesystem::path& path = step_.entry.path;
    // Never closed: a plugin may have started threads, or registered functions for the exit.
    void* library = ::dlopen(std::filesystem::absolute(path).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) fail(path, fmt::format("cannot be loaded: {}", ::dlerror()));
    const auto fill = reinterpret_cast<prs_entry_plugin_function>(::dlsym(library, kSymbol));
    if (fill == nullptr) {
      fail(path, fmt::format("exports no function {}; see <prs/entry_plugin.h>", kSymbol));
    }
    if (fill(&table_) != 0) fail(path, fmt::format("{} failed", kSymbol));
    if (table_.abi_version != PRS_ENTRY_ABI_VERSION || table_.size != sizeof table_) {
      fail(path,
           fmt::format("was built for version {} of the interface (table of {} bytes); this "
                       "prs-gpu has version {} ({} bytes): build it anew",
                       table_.abi_version, table_.size, PRS_ENTRY_ABI_VERSION, sizeof table_));
    }
    if (table_.run == nullptr) fail(path, "has no run function");
  }

  void init() override {
    if (table_.init == nullptr) return;
    std::vector<const char*> arguments;
    for (const std::string& argument : step_.entry.arguments) arguments.push_back(argument.c_str());
    const std::string output = context_.output_folder.string();
    const std::string log = context_.log_folder.string();
    prs_entry_context context{};
    context.output_folder = output.c_str();
    context.log_folder = log.c_str();
    context.agent_name = context_.agent_name.c_str();
    context.run_id = context_.run_id.c_str();
    context.node_id = context_.node_id;
    context.argument_count = static_cast<std::int32_t>(arguments.size());
    context.arguments = arguments.data();
    Report report;
    const prs_host host = host_of(report);
    check(table_.init(table_.state, &host, &context), "init", report);
  }

  Rows run(const dataset::MiniBatch& mini_batch) override {
    std::vector<const char*> files;
    for (const std::filesystem::path& file : mini_batch.files) files.push_back(file.c_str());
    prs_mini_batch given{};
    given.index = mini_batch.id;
    given.file_count = static_cast<std::int64_t>(files.size());
    given.files = files.data();
    given.record_file = mini_batch.is_records() ? mini_batch.record_file.c_str() : nullptr;
    given.first_record = mini_batch.first_record;
    given.record_count = mini_batch.record_count;
    Rows rows;
    Report report;
    report.rows = &rows;
    report.escape = step_.append_row_safe_output;
    const prs_host host = host_of(report);
    check(table_.run(table_.state, &host, &given), "run", report);
    return rows;
  }

  void shutdown() override {
    if (table_.shutdown != nullptr) table_.shutdown(table_.state);
  }

  std::string describe() const override { return "plugin " + step_.entry.path.string(); }

 private:
  static void check(int result, const char* function, const Report& report) {
    if (result == 0) return;
    const std::string why = report.error.empty() ? "it gave no reason" : report.error;
    throw Error(ErrorCode::kInternal,
                fmt::format("{}() of the plugin failed ({}): {}", function, result, why));
  }

  config::Step step_;
  Context context_;
  prs_entry_plugin_table table_{};
};

}  // namespace

std::unique_ptr<Entry> make_plugin_entry(const config::Step& step, const Context& context) {
  return std::make_unique<PluginEntry>(step, context);
}

void check_plugin_entry(const config::Step& step) {
  // Only looked at: loading it would run its code in the orchestrator.
  std::ifstream file(step.entry.path, std::ios::binary);
  char magic[4] = {};
  if (!file.read(magic, sizeof magic)) fail(step.entry.path, "cannot be read");
  if (std::string_view(magic, 4) !=
      "\x7f"
      "ELF")
    fail(step.entry.path, "is no shared library");
}

}  // namespace prs::entry
