// Command-line arguments to image items.
//
//   argument = "@" file | "-" | entry      a list of entries, one a line, or one entry
//   entry    = file | folder | glob        what exists under its literal name is no glob
#include <cerrno>
#include <fstream>
#include <iostream>
#include <istream>
#include <map>
#include <system_error>
#include <utility>

#include "check.hpp"
#include "image/folder.hpp"
#include "image/glob.hpp"
#include "prs/image.hpp"

namespace prs {
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

class ListBuilder {
 public:
  void add_argument(const std::string& argument) {
    if (argument == "-") return add_list(std::cin, "standard input");
    if (!argument.starts_with('@')) return add_entry(argument);
    const fs::path path(argument.substr(1));
    if (is_folder(path)) {
      fail_argument("{}: a folder, not a list of images; leave the @ out to score its images",
                    argument);
    }
    std::ifstream list(path);
    if (!list) {
      fail(ErrorCode::kIo, "{}: cannot open the list ({})", argument,
           std::generic_category().message(errno));
    }
    add_list(list, argument);
  }

  ImageList take() { return std::move(result_); }

 private:
  void add_list(std::istream& list, const std::string& name) {
    const std::size_t before = result_.items.size();
    for (std::string line; std::getline(list, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (line.find_first_not_of(" \t") != std::string::npos) add_list_entry(line);
    }
    if (list.bad()) fail(ErrorCode::kIo, "{}: cannot read the list", name);
    if (result_.items.size() == before) fail_argument("{}: the list names no images", name);
  }

  /// A file of a long list may have vanished since the list was made: it becomes an item that fails
  /// when it is read, alone.
  void add_list_entry(const std::string& entry) {
    if (!exists(entry) && !image::is_glob(entry)) {
      result_.items.push_back({.path = entry});
    } else {
      add_entry(entry);
    }
  }

  void add_entry(const std::string& entry) {
    if (entry.empty()) fail_argument("an empty name among the images");
    if (exists(entry)) return add_path(entry);
    if (!image::is_glob(entry)) {
      fail_argument("{}: no such file or folder (relative names start at {})", entry,
                    fs::current_path().native());
    }
    const std::vector<fs::path> matches = image::expand_glob(entry);
    if (matches.empty()) fail_argument("{}: no file matches this pattern", entry);
    for (const fs::path& match : matches) add_path(match);
  }

  void add_path(const fs::path& path) {
    if (is_folder(path)) {
      const std::vector<fs::path> images = image::find_images(path);
      if (images.empty()) {
        fail_argument(
            "{}: no image files (.png, .jpg, .bmp, .pgm, .ppm, .tiff, ...) in this folder",
            path.native());
      }
      for (const fs::path& image : images) result_.items.push_back({.path = image});
    } else if (RecordFile::is_record_file(path)) {
      add_records(path);
    } else {
      result_.items.push_back({.path = path});
    }
  }

  void add_records(const fs::path& path) {
    const auto [known, is_new] = opened_.try_emplace(path, result_.record_files.size());
    if (is_new) {
      result_.record_files.push_back(RecordFile::open(path));
      result_.record_paths.push_back(path);
    }
    const std::int64_t count = result_.record_files[known->second].count();
    for (std::int64_t record = 0; record < count; ++record) {
      result_.items.push_back({.path = path, .record = record});
    }
  }

  ImageList result_;
  std::map<fs::path, std::size_t> opened_;  // Index into record_files.
};

}  // namespace

std::string ImageItem::name() const {
  return record < 0 ? path.native() : fmt::format("{}#{}", path.native(), record);
}

ImageList expand_image_arguments(std::span<const std::string> arguments) {
  ListBuilder builder;
  for (const std::string& argument : arguments) builder.add_argument(argument);
  return builder.take();
}

}  // namespace prs
