#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include <prs/image.hpp>

#include "dataset/inputs.hpp"
#include "output/file_io.hpp"

namespace prs::dataset {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_listing(const fs::path& folder, const std::error_code& error) {
  output::fail_io(folder, "list the folder", error.value());
}

bool passes(const fs::path& path, FileFilter filter) {
  if (filter == FileFilter::kImages) return is_image_path(path);
  if (path.filename().native().starts_with('.')) return false;
  return filter == FileFilter::kAll || table_format_of(path).has_value();
}

}  // namespace

/// A folder that is being listed: names read ahead, and, in a large one, what follows them.
class FolderListing::OpenFolder {
 public:
  struct Entry {
    std::string name;
    bool is_folder = false;
  };

  OpenFolder(fs::path folder, FileFilter filter) : path_(std::move(folder)), filter_(filter) {
    struct stat status {};
    if (::stat(path_.c_str(), &status) != 0) {
      fail_listing(path_, {errno, std::generic_category()});
    }
    device_ = status.st_dev;
    inode_ = status.st_ino;
    std::error_code error;
    rest_ = fs::directory_iterator(path_, error);
    if (error) fail_listing(path_, error);
    for (std::size_t read = 0; read < kSortedEntries && rest_ != end(); ++read) {
      if (std::optional<Entry> entry = read_entry()) read_ahead_.push_back(std::move(*entry));
    }
    if (rest_ != end()) return;
    rest_ = {};
    std::sort(read_ahead_.begin(), read_ahead_.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
  }

  const fs::path& path() const { return path_; }
  bool is_same(const OpenFolder& other) const {
    return device_ == other.device_ && inode_ == other.inode_;
  }

  /// The next file that the filter lets through, or folder.
  std::optional<Entry> next() {
    if (next_ < read_ahead_.size()) return std::move(read_ahead_[next_++]);
    read_ahead_ = {};
    next_ = 0;
    while (rest_ != end()) {
      if (std::optional<Entry> entry = read_entry()) return entry;
    }
    return std::nullopt;
  }

 private:
  static fs::directory_iterator end() { return {}; }

  /// Takes one entry from `rest_`; nothing when it is neither a wanted file nor a folder.
  std::optional<Entry> read_entry() {
    std::error_code error;  // A dangling link is no folder; reading it will say what it is.
    const bool is_folder = rest_->is_directory(error);
    std::optional<Entry> entry;
    const bool is_wanted_folder =
        is_folder &&
        (filter_ == FileFilter::kImages || !rest_->path().filename().native().starts_with('.'));
    if (is_wanted_folder || (!is_folder && passes(rest_->path(), filter_))) {
      entry = Entry{rest_->path().filename().native(), is_folder};
    }
    rest_.increment(error);
    if (error) fail_listing(path_, error);
    return entry;
  }

  fs::path path_;
  FileFilter filter_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::vector<Entry> read_ahead_;
  std::size_t next_ = 0;
  fs::directory_iterator rest_;
};

FolderListing::FolderListing(fs::path folder, FileFilter filter) : filter_(filter) {
  enter(std::move(folder));
}

FolderListing::~FolderListing() = default;
FolderListing::FolderListing(FolderListing&&) noexcept = default;
FolderListing& FolderListing::operator=(FolderListing&&) noexcept = default;

void FolderListing::enter(fs::path folder) {
  auto entered = std::make_unique<OpenFolder>(std::move(folder), filter_);
  const bool in_it = std::any_of(open_.begin(), open_.end(),
                                 [&](const auto& outer) { return outer->is_same(*entered); });
  if (!in_it) open_.push_back(std::move(entered));
}

std::optional<fs::path> FolderListing::next() {
  while (!open_.empty()) {
    const std::optional<OpenFolder::Entry> entry = open_.back()->next();
    if (!entry) {
      open_.pop_back();
    } else if (entry->is_folder) {
      enter(open_.back()->path() / entry->name);
    } else {
      return open_.back()->path() / entry->name;
    }
  }
  return std::nullopt;
}

}  // namespace prs::dataset
