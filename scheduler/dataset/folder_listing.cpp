#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include <prs/image.hpp>

#include "dataset/inputs.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

bool passes(const std::string& name, FileFilter filter) {
  if (filter == FileFilter::kImages) return is_image_path(name);
  if (name.starts_with('.')) return false;
  return filter == FileFilter::kAll || table_format_of(name).has_value();
}

}  // namespace

/// A folder that is being listed: names read ahead, and, in a large one, what follows them. Names
/// are texts, not paths: a folder of 100,000 files is read whole before the first one is given out.
class FolderListing::OpenFolder {
 public:
  struct Entry {
    std::string name;
    bool is_folder = false;
  };

  OpenFolder(std::string folder, FileFilter filter, std::size_t sorted_entries)
      : path_(std::move(folder)), filter_(filter), rest_(::opendir(path_.c_str()), ::closedir) {
    struct stat status {};
    if (!rest_ || ::fstat(::dirfd(rest_.get()), &status) != 0) fail();
    device_ = status.st_dev;
    inode_ = status.st_ino;
    std::size_t read = 0;
    while (const dirent* found = read_name()) {
      if (std::optional<Entry> entry = wanted(*found)) read_ahead_.push_back(std::move(*entry));
      if (++read > sorted_entries) return;
    }
    rest_.reset();
    std::sort(read_ahead_.begin(), read_ahead_.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }

  const std::string& path() const { return path_; }
  bool is_same(const OpenFolder& other) const {
    return device_ == other.device_ && inode_ == other.inode_;
  }

  /// The next file that the filter lets through, or folder.
  std::optional<Entry> next() {
    if (next_ < read_ahead_.size()) return std::move(read_ahead_[next_++]);
    read_ahead_ = {};
    next_ = 0;
    if (!rest_) return std::nullopt;
    while (const dirent* found = read_name()) {
      if (std::optional<Entry> entry = wanted(*found)) return entry;
    }
    rest_.reset();
    return std::nullopt;
  }

 private:
  [[noreturn]] void fail() const { output::fail_io(path_, "list the folder", errno); }

  /// The next entry but "." and ".."; null at the end.
  const dirent* read_name() {
    for (;;) {
      errno = 0;
      const dirent* found = ::readdir(rest_.get());
      if (found == nullptr) {
        if (errno != 0) fail();
        return nullptr;
      }
      const std::string_view name(found->d_name);
      if (name != "." && name != "..") return found;
    }
  }

  /// Nothing when it is neither a wanted file nor a folder.
  std::optional<Entry> wanted(const dirent& found) const {
    Entry entry{found.d_name, is_folder(found)};
    const bool passed = entry.is_folder
                            ? filter_ == FileFilter::kImages || !entry.name.starts_with('.')
                            : passes(entry.name, filter_);
    if (!passed) return std::nullopt;
    return entry;
  }

  bool is_folder(const dirent& found) const {
    if (found.d_type != DT_LNK && found.d_type != DT_UNKNOWN) return found.d_type == DT_DIR;
    // A dangling link is no folder; reading it will say what it is.
    struct stat status {};
    return ::fstatat(::dirfd(rest_.get()), found.d_name, &status, 0) == 0 &&
           S_ISDIR(status.st_mode);
  }

  std::string path_;
  FileFilter filter_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::vector<Entry> read_ahead_;
  std::size_t next_ = 0;
  std::unique_ptr<DIR, int (*)(DIR*)> rest_;  ///< What has not been read; null at the end.
};

FolderListing::FolderListing(const fs::path& folder, FileFilter filter, std::size_t sorted_entries)
    : filter_(filter), sorted_entries_(sorted_entries) {
  enter(folder.native());
}

FolderListing::~FolderListing() = default;
FolderListing::FolderListing(FolderListing&&) noexcept = default;
FolderListing& FolderListing::operator=(FolderListing&&) noexcept = default;

void FolderListing::enter(const std::string& folder) {
  auto entered = std::make_unique<OpenFolder>(folder, filter_, sorted_entries_);
  const bool in_it = std::any_of(open_.begin(), open_.end(),
                                 [&](const auto& outer) { return outer->is_same(*entered); });
  if (!in_it) open_.push_back(std::move(entered));
}

std::optional<std::string> FolderListing::next() {
  while (!open_.empty()) {
    const std::optional<OpenFolder::Entry> entry = open_.back()->next();
    if (!entry) {
      open_.pop_back();
      continue;
    }
    std::string path = open_.back()->path();
    if (!path.ends_with('/')) path += '/';
    path += entry->name;
    if (!entry->is_folder) return path;
    enter(path);
  }
  return std::nullopt;
}

}  // namespace prs::dataset
