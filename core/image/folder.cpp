#include "image/folder.hpp"

#include <algorithm>
#include <system_error>

#include "check.hpp"
#include "prs/image.hpp"

namespace prs::image {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail_listing(const fs::path& folder, const std::error_code& error) {
  fail(ErrorCode::kIo, "{}: cannot list the folder ({})", folder.native(), error.message());
}

/// Where a folder really is: equal for all the links to it.
fs::path real_path(const fs::path& folder) {
  std::error_code error;
  fs::path real = fs::canonical(folder, error);
  if (error) fail_listing(folder, error);
  return real;
}

/// `open` holds the real paths of the folders that the search is in.
void find_images(const fs::path& folder, std::vector<fs::path>& open,
                 std::vector<fs::path>& found) {
  fs::path real = real_path(folder);
  if (std::find(open.begin(), open.end(), real) != open.end()) return;
  open.push_back(std::move(real));
  for (const fs::directory_entry& entry : list_folder(folder)) {
    std::error_code error;  // A dangling link is no folder; reading it will say what it is.
    if (entry.is_directory(error)) {
      find_images(entry.path(), open, found);
    } else if (is_image_path(entry.path())) {
      found.push_back(entry.path());
    }
  }
  open.pop_back();
}

}  // namespace

std::vector<fs::directory_entry> list_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::directory_entry> entries;
  fs::directory_iterator next(folder.empty() ? fs::path(".") : folder, error);
  for (; !error && next != fs::directory_iterator(); next.increment(error)) {
    entries.push_back(*next);
  }
  if (error) fail_listing(folder, error);
  if (folder.empty()) {
    for (fs::directory_entry& entry : entries) entry.assign(entry.path().filename(), error);
  }
  return entries;
}

std::vector<fs::path> find_images(const fs::path& folder) {
  std::vector<fs::path> open;
  std::vector<fs::path> found;
  find_images(folder, open, found);
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace prs::image
