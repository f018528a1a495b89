// A native plugin: a shared library with the interface of <prs/entry_plugin.h>.

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include <prs/entry_plugin.h>
#include <prs/error.hpp>

#include "dataset/table.hpp"
#include "entry/elf_symbols.hpp"
#include "entry/kinds.hpp"
#include "entry/row_collector.hpp"

namespace prs::entry {
namespace {

constexpr const char* kSymbol = "prs_entry_plugin";
constexpr const char* kDeclaration = "int prs_entry_plugin(prs_entry_plugin_table* table)";
/// Of the names that a library without the symbol does export.
constexpr std::size_t kMaxNames = 10;

prs_column c_column(const dataset::Column& column) {
  using Type = dataset::Column::Type;
  const auto type = [&column] {
    switch (column.type) {
      case Type::kInt64:
        return PRS_COLUMN_INT64;
      case Type::kFloat64:
        return PRS_COLUMN_FLOAT64;
      case Type::kBool:
        return PRS_COLUMN_BOOL;
      case Type::kTimestamp:
        return PRS_COLUMN_TIMESTAMP;
      case Type::kString:
        break;
    }
    return PRS_COLUMN_STRING;
  };
  const auto data = [](const auto& values) { return values.empty() ? nullptr : values.data(); };
  return {column.name.c_str(),   type(),
          data(column.integers), data(column.floats),
          data(column.bools),    data(column.offsets),
          column.bytes.data(),   data(column.valid)};
}

class PluginEntry : public Entry {
 public:
  PluginEntry(const config::Step& step, Context context)
      : path_(std::filesystem::absolute(step.entry.path).string()),
        arguments_(step.entry.arguments),
        context_(std::move(context)),
        rows_(step),
        host_{this, &PluginEntry::on_row, &PluginEntry::on_item_error, &PluginEntry::on_error} {
    // Never unloaded: a plugin may have left threads or thread-local objects behind.
    void* const library = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) fail_argument(fmt::format("cannot be loaded: {}", ::dlerror()));
    const auto plugin = reinterpret_cast<prs_entry_plugin_function>(::dlsym(library, kSymbol));
    if (plugin == nullptr) fail_argument(fmt::format("does not export {}", kDeclaration));
    if (const int code = plugin(&table_); code != 0) {
      fail_argument(fmt::format("{} returned {}", kSymbol, code));
    }
    check_table();
  }

  void init() override {
    if (table_.init == nullptr) return;
    std::vector<const char*> arguments;
    for (const std::string& argument : arguments_) arguments.push_back(argument.c_str());
    const prs_entry_context context{context_.output_folder.c_str(),
                                    context_.log_folder.c_str(),
                                    context_.agent_name.c_str(),
                                    context_.run_id.c_str(),
                                    context_.node_id,
                                    static_cast<std::int32_t>(arguments.size()),
                                    arguments.data()};
    call("init", [&] { return table_.init(table_.state, &host_, &context); });
  }

  Rows run(const dataset::MiniBatch& mini_batch) override {
    rows_.take();  // Of a mini-batch that failed.
    files_.clear();
    for (const std::string& file : mini_batch.files) files_.push_back(file.c_str());
    prs_mini_batch batch{};
    batch.index = mini_batch.id;
    batch.file_count = static_cast<std::int64_t>(files_.size());
    batch.files = files_.data();
    std::vector<const char*> names;
    std::vector<const char*> values;
    for (const auto& [name, value] : mini_batch.partition) {
      names.push_back(name.c_str());
      values.push_back(value.c_str());
    }
    batch.partition_count = static_cast<std::int32_t>(names.size());
    batch.partition_names = names.data();
    batch.partition_values = values.data();
    dataset::Table table;
    std::vector<prs_column> columns;
    if (mini_batch.is_table()) {
      table = tables_.read(mini_batch);
      for (const dataset::Column& column : table.columns) columns.push_back(c_column(column));
      batch.record_file = mini_batch.pieces.front().file.c_str();
      batch.first_record = mini_batch.pieces.front().first_record;
      batch.record_count = table.rows;
      batch.row_count = table.rows;
      batch.column_count = static_cast<std::int32_t>(columns.size());
      batch.columns = columns.data();
    } else if (mini_batch.is_records()) {
      batch.record_file = mini_batch.record_file.c_str();
      batch.first_record = mini_batch.first_record;
      batch.record_count = mini_batch.record_count;
    }
    call("run", [&] { return table_.run(table_.state, &host_, &batch); });
    return rows_.take();
  }

  void shutdown() override {
    if (table_.shutdown != nullptr) table_.shutdown(table_.state);
  }

  std::string describe() const override {
    return fmt::format("plugin {}, ABI version {}", path_, table_.abi_version);
  }

 private:
  [[noreturn]] void fail_argument(const std::string& what) const {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("plugin {}: {}", path_, what));
  }

  void check_table() const {
    if (table_.abi_version != PRS_ENTRY_ABI_VERSION) {
      fail_argument(
          fmt::format("built for ABI version {}, this prs-gpu has version {}; build it "
                      "again with this version's <prs/entry_plugin.h>",
                      table_.abi_version, PRS_ENTRY_ABI_VERSION));
    }
    if (table_.size != sizeof(prs_entry_plugin_table)) {
      fail_argument(fmt::format("its table has size {}, not sizeof(prs_entry_plugin_table) = {}",
                                table_.size, sizeof(prs_entry_plugin_table)));
    }
    if (table_.run == nullptr) {
      fail_argument(fmt::format("its table has no run ({}init, {}shutdown); set table->run",
                                table_.init == nullptr ? "no " : "",
                                table_.shutdown == nullptr ? "no " : ""));
    }
  }

  /// Calls a function of the plugin; its failure is an exception with the plugin's own words.
  template <typename Function>
  void call(const char* name, const Function& function) {
    message_.clear();
    exception_ = nullptr;
    running_ = name == std::string_view("run");
    const int code = function();
    running_ = false;
    if (exception_) std::rethrow_exception(std::exchange(exception_, nullptr));
    if (code == 0) return;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("plugin {}: {} failed: {}", path_, name,
                            message_.empty() ? fmt::format("it returned {} without a message", code)
                                             : message_));
  }

  /// What the host does for the plugin. Nothing may be thrown through the plugin's frames: it is
  /// kept until the call returns.
  template <typename Body>
  static void on(void* self, const Body& body) noexcept {
    auto& entry = *static_cast<PluginEntry*>(self);
    try {
      body(entry);
    } catch (...) {
      if (!entry.exception_) entry.exception_ = std::current_exception();
    }
  }

  void check_running(const char* function) const {
    if (!running_) fail_argument(fmt::format("called {} outside of run", function));
  }

  static void on_row(void* self, const char* text, std::size_t size) noexcept {
    on(self, [&](PluginEntry& entry) {
      entry.check_running("row");
      entry.rows_.add(size == 0 ? std::string_view() : std::string_view(text, size));
    });
  }

  static void on_item_error(void* self, const char* item, const char* reason) noexcept {
    on(self, [&](PluginEntry& entry) {
      entry.check_running("item_error");
      entry.rows_.rows().item_errors.push_back(fmt::format(
          "{}: {}", item == nullptr ? "(no item)" : item, reason == nullptr ? "" : reason));
    });
  }

  static void on_error(void* self, const char* message) noexcept {
    on(self, [&](PluginEntry& entry) { entry.message_ = message == nullptr ? "" : message; });
  }

  const std::string path_;
  const std::vector<std::string> arguments_;
  const Context context_;
  RowCollector rows_;
  const prs_host host_;
  prs_entry_plugin_table table_{};
  std::vector<const char*> files_;
  dataset::TableReader tables_;
  bool running_ = false;
  std::string message_;
  std::exception_ptr exception_;  ///< What a call of the host threw.
};

}  // namespace

std::unique_ptr<Entry> load_plugin(const config::Step& step, const Context& context) {
  check_plugin(step);
  return std::make_unique<PluginEntry>(step, context);
}

void check_plugin(const config::Step& step) {
  std::vector<std::string> names = exported_functions(step.entry.path);
  if (std::find(names.begin(), names.end(), kSymbol) != names.end()) return;
  std::sort(names.begin(), names.end());
  const std::size_t more = names.size() - std::min(names.size(), kMaxNames);
  names.resize(names.size() - more);
  std::string exported = "nothing";
  if (!names.empty()) exported = fmt::format("{}", fmt::join(names, ", "));
  if (more > 0) exported += fmt::format(" and {} more", more);
  throw Error(
      ErrorCode::kInvalidArgument,
      fmt::format("plugin {}: does not export {}, as <prs/entry_plugin.h> declares it (in C++: "
                  "extern \"C\"); it exports {}",
                  step.entry.path.string(), kDeclaration, exported));
}

}  // namespace prs::entry
