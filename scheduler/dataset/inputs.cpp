#include "dataset/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>

#include <prs/error.hpp>
#include <prs/image.hpp>

#include "config/text.hpp"
#include "config/values.hpp"
#include "dataset/mltable.hpp"
#include "dataset/refusal.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

bool exists(const fs::path& path) {
  std::error_code error;
  return fs::symlink_status(path, error).type() != fs::file_type::not_found;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

/// The path from the root on, so that it means the same in every process. ".." stays: behind a link
/// it is not what the name suggests.
fs::path from_root(const fs::path& path) {
  fs::path result;
  for (const fs::path& component : fs::absolute(path)) {
    if (component != "." && !component.empty()) result /= component;
  }
  return result;
}

void check_folder(const fs::path& folder) {
  std::error_code error;
  const fs::directory_iterator opened(folder, error);
  if (error) output::fail_io(folder, "list the folder", error.value());
}

/// Whether the list that "@path" names has only blank lines: an empty input, which is no error
/// (D10). False when it cannot be read; expanding it says why.
bool is_empty_list(const std::string& input) {
  std::error_code error;
  const fs::path path(input.substr(1));
  if (!fs::is_regular_file(path, error)) return false;
  std::ifstream list(path);
  if (!list) return false;
  for (std::string line; std::getline(list, line);) {
    if (line.find_first_not_of(" \t\r") != std::string::npos) return false;
  }
  return !list.bad();
}

RecordInput record_source(const fs::path& path, const RecordFile& file) {
  const std::int64_t bytes = file.record_shape().elements() * dtype_size(file.dtype());
  return {from_root(path), file.count(), std::max<std::int64_t>(1, bytes)};
}

/// What a list or a pattern names.
Input expand(const std::string& input) {
  const ImageList images = expand_image_arguments(std::span(&input, 1));
  Input result;
  for (const ImageList::Entry& entry : images.entries()) {
    if (entry.record_file < 0) {
      result.files.push_back(from_root(entry.path));
      continue;
    }
    const auto& listed = images.record_files()[static_cast<std::size_t>(entry.record_file)];
    // Its records cannot be counted: no part of the job could tell of them.
    if (!listed.file) fail_argument(listed.error);
    result.records.push_back(record_source(entry.path, *listed.file));
  }
  if (!result.files.empty() && !result.records.empty()) {
    fail_argument(
        fmt::format("{}: names image files ({}) and record files ({}); the inputs of a "
                    "step are of one kind",
                    input, result.files.front().string(), result.records.front().path.string()));
  }
  return result;
}

/// The files and folders of an MLTable.
Input resolve_mltable(const fs::path& file) {
  const MlTable table = read_mltable(file);
  Input result;
  for (const std::string& name : table.files) {
    for (fs::path& path : exists(name) ? std::vector{from_root(name)} : expand(name).files) {
      result.files.push_back(std::move(path));
    }
  }
  for (const fs::path& folder : table.folders) {
    check_folder(folder);
    result.folders.push_back(from_root(folder));
  }
  result.is_table = true;
  result.has_table_format = table.format.has_value();
  if (table.format) result.table = *table.format;
  result.filter = table.format ? FileFilter::kAll : FileFilter::kTables;
  return result;
}

Input resolve(const std::string& input, const InputSpec& spec) {
  if (input.empty()) fail_argument("an empty name among the inputs");
  if (input == "-") {
    fail_argument(
        "-: a step cannot read its inputs from standard input; write the list to a file "
        "and give @FILE");
  }
  if (input.starts_with('@')) return is_empty_list(input) ? Input{} : expand(input);
  if (spec.kind != config::InputKind::kFiles) {
    if (const auto mltable = mltable_of(input)) return resolve_mltable(*mltable);
  }
  Input result;
  if (is_folder(input)) {
    check_folder(input);
    result.folders.push_back(from_root(input));
    result.is_table = spec.kind == config::InputKind::kTabular;
    result.filter = result.is_table ? FileFilter::kTables
                                    : (spec.all_files ? FileFilter::kAll : FileFilter::kImages);
    return result;
  }
  if (!exists(input)) {
    if (input.find_first_of("*?[") != std::string::npos) return expand(input);
    fail_argument(fmt::format("{}: no such file or folder (relative names start at {})", input,
                              fs::current_path().string()));
  }
  if (spec.cut_records && RecordFile::is_record_file(input)) {
    result.records.push_back(record_source(input, RecordFile::open(input)));
  } else {
    result.files.push_back(from_root(input));
  }
  return result;
}

/// Decides whether what was found are tables, and checks that all of it is.
void decide_kind(const std::string& input, const InputSpec& spec, Input& resolved) {
  using config::InputKind;
  if (spec.kind == InputKind::kTabular && !resolved.records.empty()) {
    fail_argument(fmt::format("inputs: {} holds records, but input_kind is tabular", input));
  }
  if (!resolved.files.empty() && !resolved.is_table) {
    resolved.is_table =
        spec.kind == InputKind::kTabular ||
        (spec.kind == InputKind::kAuto && table_format_of(resolved.files.front()).has_value());
  }
  if (!resolved.is_table) return;
  if (!spec.partition_format.empty()) resolved.table.partition_format = spec.partition_format;
  if (resolved.has_table_format) return;
  for (const fs::path& file : resolved.files) {
    if (table_format_of(file)) continue;
    fail_argument(
        fmt::format("{}: is no table by its extension (.csv, .tsv, .jsonl, .ndjson, these also "
                    "with .gz, .parquet); name it in an MLTable file with a read_ transformation",
                    file.string()));
  }
}

const char* kind_of(const Input& input) {
  if (!input.records.empty()) return "records";
  if (input.is_table) return "tables";
  return input.files.empty() && input.folders.empty() ? nullptr : "files";
}

}  // namespace

std::vector<Input> resolve_inputs(const InputSpec& spec) {
  if (spec.inputs.empty()) {
    fail_argument(
        "inputs: none given; name files, folders, patterns, @LISTs, IDX and NPY files, or tables");
  }
  std::vector<Input> resolved;
  const char* first_kind = nullptr;
  const std::string* first = nullptr;
  for (const std::string& input : spec.inputs) {
    resolved.push_back(resolve(input, spec));
    if (!spec.cut_records) {
      for (RecordInput& source : std::exchange(resolved.back().records, {})) {
        resolved.back().files.push_back(std::move(source.path));
      }
    }
    decide_kind(input, spec, resolved.back());
    const char* const kind = kind_of(resolved.back());
    if (kind == nullptr) continue;
    if (first == nullptr) {
      first = &input;
      first_kind = kind;
    }
    if (std::string_view(kind) != first_kind) {
      fail_argument(fmt::format("inputs: {} holds {}, {} {}; the inputs of a step are of one kind",
                                *first, first_kind, input, kind));
    }
  }
  return resolved;
}

InputSpec input_spec(const config::Step& step) {
  InputSpec spec(step.inputs);
  spec.kind = step.input_kind;
  spec.all_files = step.entry.kind != config::EntrySpec::Kind::kModel;
  spec.cut_records = step.entry.kind != config::EntrySpec::Kind::kScript;
  spec.partition_keys = step.partition_keys;
  spec.partition_format = step.partition_format;
  spec.rank_count = step.rank_mini_batch_count;
  return spec;
}

bool names_tables(const InputSpec& spec) {
  if (spec.kind != config::InputKind::kAuto) return spec.kind == config::InputKind::kTabular;
  return std::any_of(spec.inputs.begin(), spec.inputs.end(), [](const std::string& input) {
    return (table_format_of(input) && !is_folder(input)) || mltable_of(input);
  });
}

void settle_mini_batch_size(config::Step& step) {
  config::MiniBatchSize& size = step.mini_batch_size;
  if (size.unit != config::MiniBatchSize::Unit::kItems || !names_tables(input_spec(step))) return;
  size.unit = config::MiniBatchSize::Unit::kBytes;
  if (!size.given) size.value = kDefaultTableBytes;
  for (config::SettingOrigin& origin : step.origins) {
    if (origin.key != "mini_batch_size") continue;
    origin.value = config::show_mini_batch_size(size);
    origin.unit = "bytes";
  }
}

std::optional<TableFormat> table_format_of(const fs::path& path) {
  std::string name = config::lower_case(path.filename().native());
  const bool packed = name.ends_with(".gz");
  if (packed) name.resize(name.size() - 3);
  const std::string extension = fs::path(name).extension();
  TableFormat format;
  if (extension == ".tsv") {
    format.delimiter = '\t';
  } else if (extension == ".jsonl" || extension == ".ndjson") {
    format.kind = TableFormat::Kind::kJsonLines;
  } else if (extension == ".parquet" && !packed) {
    format.kind = TableFormat::Kind::kParquet;
  } else if (extension != ".csv") {
    return std::nullopt;
  }
  return format;
}

FileStream::FileStream(const Input& input, std::size_t sorted_entries)
    : input_(&input), sorted_entries_(sorted_entries) {}

std::optional<std::string> FileStream::next() {
  const std::size_t files = input_->files.size();
  if (next_ < files) return input_->files[next_++].native();
  for (;;) {
    if (folder_) {
      std::optional<std::string> file = folder_->next();
      // A table does not describe itself.
      if (file && input_->is_table && fs::path(*file).filename() == "MLTable") continue;
      if (file) return file;
      folder_.reset();
    }
    if (next_ == files + input_->folders.size()) return std::nullopt;
    folder_.emplace(input_->folders[next_++ - files], input_->filter, sorted_entries_);
  }
}

}  // namespace prs::dataset
