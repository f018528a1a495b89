// Command-line arguments to image items.
//
//   argument = "@" file | "-" | entry      a list of entries, one a line, or one entry
//   entry    = file | folder | glob        what exists under its literal name is no glob
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <istream>
#include <iterator>
#include <new>
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

ImageList::ListedRecordFile open_records(const fs::path& path) {
  try {
    return {RecordFile::open(path), {}};
  } catch (const Error& error) {
    return {std::nullopt, error.message()};
  } catch (const std::bad_alloc&) {
    return {std::nullopt, path.native() + ": out of memory"};
  }
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
    const std::size_t before = result_.entries().size();
    for (std::string line; std::getline(list, line);) {
      if (line.ends_with('\r')) line.pop_back();
      if (line.find_first_not_of(" \t") != std::string::npos) add_list_entry(line);
    }
    if (list.bad()) fail(ErrorCode::kIo, "{}: cannot read the list", name);
    if (result_.entries().size() == before) fail_argument("{}: the list names no images", name);
  }

  /// A file of a long list may have vanished since the list was made: it becomes an item that fails
  /// when it is read, alone.
  void add_list_entry(const std::string& entry) {
    if (!exists(entry) && !image::is_glob(entry)) {
      result_.add_image(entry);
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
      for (const fs::path& image : images) result_.add_image(image);
    } else if (RecordFile::is_record_file(path)) {
      result_.add_records(path);
    } else {
      result_.add_image(path);
    }
  }

  ImageList result_;
};

}  // namespace

std::string ImageItem::name() const {
  return record < 0 ? path.native() : fmt::format("{}#{}", path.native(), record);
}

void ImageList::add_image(const fs::path& path) {
  entries_.push_back({.path = path, .first = size()});
}

void ImageList::add_records(const fs::path& path) {
  const auto [known, is_new] =
      known_.try_emplace(path, static_cast<std::int64_t>(record_files_.size()));
  if (is_new) record_files_.push_back(open_records(path));
  const std::optional<RecordFile>& file =
      record_files_[static_cast<std::size_t>(known->second)].file;
  entries_.push_back({.path = path,
                      .first = size(),
                      .count = file ? file->count() : 1,
                      .record_file = known->second});
}

std::int64_t ImageList::size() const noexcept {
  return entries_.empty() ? 0 : entries_.back().first + entries_.back().count;
}

const ImageList::Entry& ImageList::entry_of(std::int64_t index) const {
  PRS_CHECK(index >= 0 && index < size());
  // The last that begins at or before the item: those without items begin where the next one does.
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), index,
                       [](std::int64_t i, const Entry& entry) { return i < entry.first; });
  return *std::prev(after);
}

ImageItem ImageList::item(std::int64_t index) const {
  const Entry& entry = entry_of(index);
  const bool is_record =
      entry.record_file >= 0 && record_files_[static_cast<std::size_t>(entry.record_file)].file;
  return {.path = entry.path, .record = is_record ? index - entry.first : -1};
}

ImageList expand_image_arguments(std::span<const std::string> arguments) {
  ListBuilder builder;
  for (const std::string& argument : arguments) builder.add_argument(argument);
  return builder.take();
}

}  // namespace prs
