#include "dataset/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <system_error>
#include <utility>

#include <prs/error.hpp>
#include <prs/image.hpp>

#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_argument(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

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
Input expand(const std::string& input, Items items) {
  const ImageList images = expand_image_arguments(std::span(&input, 1));
  Input result;
  for (const ImageList::Entry& entry : images.entries()) {
    if (entry.record_file < 0 || items == Items::kFiles) {
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

Input resolve(const std::string& input, Items items) {
  if (input.empty()) fail_argument("an empty name among the inputs");
  if (input == "-") {
    fail_argument(
        "-: a step cannot read its inputs from standard input; write the list to a file "
        "and give @FILE");
  }
  if (input.starts_with('@')) return is_empty_list(input) ? Input{} : expand(input, items);
  if (is_folder(input)) {
    check_folder(input);
    return {.folder = from_root(input), .files = {}, .records = {}, .items = items};
  }
  if (!exists(input)) {
    if (input.find_first_of("*?[") != std::string::npos) return expand(input, items);
    fail_argument(fmt::format("{}: no such file or folder (relative names start at {})", input,
                              fs::current_path().string()));
  }
  if (items == Items::kImages && RecordFile::is_record_file(input)) {
    return {.folder = {}, .files = {}, .records = {record_source(input, RecordFile::open(input))}};
  }
  return {.folder = {}, .files = {from_root(input)}, .records = {}};
}

}  // namespace

std::vector<Input> resolve_inputs(const std::vector<std::string>& inputs, Items items) {
  if (inputs.empty()) {
    fail_argument(
        "inputs: none given; name files, folders, patterns, @LISTs, or IDX and NPY files");
  }
  std::vector<Input> resolved;
  const std::string* files = nullptr;
  const std::string* records = nullptr;
  for (const std::string& input : inputs) {
    resolved.push_back(resolve(input, items));
    const Input& last = resolved.back();
    if (!last.records.empty()) records = &input;
    if (!last.files.empty() || !last.folder.empty()) files = &input;
    if (files != nullptr && records != nullptr) {
      fail_argument(
          fmt::format("inputs: {} holds image files, {} records; the inputs of a step are "
                      "of one kind",
                      *files, *records));
    }
  }
  return resolved;
}

FileStream::FileStream(const Input& input) : input_(&input) {
  if (!input.folder.empty()) folder_.emplace(input.folder, input.items);
}

std::optional<fs::path> FileStream::next() {
  if (folder_) return folder_->next();
  if (next_ == input_->files.size()) return std::nullopt;
  return input_->files[next_++];
}

}  // namespace prs::dataset
