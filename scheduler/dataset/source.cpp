#include "dataset/source.hpp"

#include <dirent.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <prs/error.hpp>
#include <prs/image.hpp>

namespace prs::dataset {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void fail(ErrorCode code, const std::string& message) { throw Error(code, message); }

bool has_pattern(const std::string& text) { return text.find_first_of("*?[") != std::string::npos; }

/// One folder being walked.
struct Folder {
  struct Entry {
    std::string name;
    unsigned char type;
  };

  fs::path path;
  std::unique_ptr<DIR, int (*)(DIR*)> stream{nullptr, &::closedir};
  std::vector<Entry> read;  ///< The first entries; sorted when they are all.
  std::size_t at = 0;

  explicit Folder(fs::path folder) : path(std::move(folder)) {
    stream.reset(::opendir(path.c_str()));
    if (!stream) {
      fail(ErrorCode::kIo,
           fmt::format("cannot read the folder {}: {}", path.string(), std::strerror(errno)));
    }
    while (read.size() <= kSortedEntries) {
      std::optional<Entry> entry = read_entry();
      if (!entry) break;
      read.push_back(std::move(*entry));
    }
    if (read.size() > kSortedEntries) return;
    stream.reset();
    std::sort(read.begin(), read.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }

  std::optional<Entry> next() {
    if (at < read.size()) return std::move(read[at++]);
    read.clear();
    at = 0;
    if (!stream) return std::nullopt;
    return read_entry();
  }

 private:
  std::optional<Entry> read_entry() const {
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(stream.get());
      if (entry == nullptr) {
        if (errno == 0) return std::nullopt;
        fail(ErrorCode::kIo,
             fmt::format("cannot read the folder {}: {}", path.string(), std::strerror(errno)));
      }
      // Hidden files and folders are bookkeeping of other programs.
      if (entry->d_name[0] != '.') return Entry{entry->d_name, entry->d_type};
    }
  }
};

}  // namespace

struct FileSource::State {
  std::vector<std::string> inputs;
  std::size_t next_input = 0;
  std::vector<SourceFile> files;  ///< Of the current input, when it is a list or a pattern.
  std::size_t next_file = 0;
  std::vector<Folder> folders;  ///< Being walked, outermost first.

  std::int64_t input() const { return static_cast<std::int64_t>(next_input) - 1; }

  static void check(const std::string& argument) {
    if (argument.empty()) fail(ErrorCode::kInvalidArgument, "an input is empty");
    const std::string path = argument[0] == '@' ? argument.substr(1) : argument;
    std::error_code error;
    if (fs::exists(path, error)) return;
    if (argument[0] != '@' && has_pattern(argument)) return;
    fail(ErrorCode::kInvalidArgument,
         fmt::format("input {} does not exist (relative names start at {})", argument,
                     fs::current_path().string()));
  }

  void add_path(const fs::path& path) {
    files.push_back({path, input(), RecordFile::is_record_file(path)});
  }

  void open_list(const std::string& argument) {
    std::ifstream list(argument.substr(1));
    for (std::string line; std::getline(list, line);) {
      if (line.ends_with('\r')) line.pop_back();
      // A file that is gone fails as an item when its turn comes (D10).
      if (line.find_first_not_of(" \t") != std::string::npos) add_path(line);
    }
    if (list.bad() || !list.eof()) {
      fail(ErrorCode::kIo, fmt::format("cannot read the list {}", argument.substr(1)));
    }
  }

  /// False when there is no further input.
  bool open_next_input() {
    if (next_input == inputs.size()) return false;
    const std::string argument = inputs[next_input++];
    files.clear();
    next_file = 0;
    std::error_code error;
    if (argument[0] == '@') {
      open_list(argument);
    } else if (fs::is_directory(argument, error)) {
      folders.emplace_back(argument);
    } else if (fs::exists(argument, error)) {
      add_path(argument);
    } else {
      const std::vector<std::string> pattern = {argument};
      for (const fs::path& path : matching_paths(pattern[0])) add_path(path);
    }
    return true;
  }

  static std::vector<fs::path> matching_paths(const std::string& pattern) {
    const std::vector<std::string> argument = {pattern};
    std::vector<fs::path> paths;
    for (const ImageItem& item : expand_image_arguments(argument).items) {
      if (paths.empty() || paths.back() != item.path) paths.push_back(item.path);
    }
    return paths;
  }

  /// The next image or record file of the folders being walked.
  std::optional<SourceFile> walk() {
    while (!folders.empty()) {
      std::optional<Folder::Entry> entry = folders.back().next();
      if (!entry) {
        folders.pop_back();
        continue;
      }
      const fs::path path = folders.back().path / entry->name;
      std::error_code error;
      const bool folder =
          entry->type == DT_DIR ||
          ((entry->type == DT_LNK || entry->type == DT_UNKNOWN) && fs::is_directory(path, error));
      if (folder) {
        folders.emplace_back(path);
      } else if (is_image_path(path) || RecordFile::is_record_file(path)) {
        return SourceFile{path, input(), RecordFile::is_record_file(path)};
      }
    }
    return std::nullopt;
  }
};

FileSource::FileSource(std::vector<std::string> inputs) : state_(std::make_unique<State>()) {
  if (inputs.empty()) fail(ErrorCode::kInvalidArgument, "the step has no inputs");
  for (const std::string& input : inputs) State::check(input);
  state_->inputs = std::move(inputs);
}

FileSource::~FileSource() = default;

std::optional<SourceFile> FileSource::next() {
  State& state = *state_;
  while (true) {
    if (state.next_file < state.files.size()) return state.files[state.next_file++];
    if (std::optional<SourceFile> file = state.walk()) return file;
    if (!state.open_next_input()) return std::nullopt;
  }
}

}  // namespace prs::dataset
