#include "image/glob.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <span>
#include <string>
#include <system_error>

#include "image/folder.hpp"

namespace prs::image {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAnyDepth = "**";

std::vector<std::string> split(std::string_view pattern) {
  std::vector<std::string> components;
  while (!pattern.empty()) {
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    const std::string_view component = pattern.substr(0, end);
    // "**/**" matches what "**" does, but would search every folder again and again.
    const bool repeats =
        component == kAnyDepth && !components.empty() && components.back() == kAnyDepth;
    if (end > 0 && !repeats) components.emplace_back(component);
    pattern.remove_prefix(std::min(end + 1, pattern.size()));
  }
  if (!components.empty() && components.back() == kAnyDepth) components.emplace_back("*");
  return components;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return path.empty() || fs::is_directory(path, error);
}

/// Appends what matches `components` below `base`; an empty base is the current folder.
void expand(const fs::path& base, std::span<const std::string> components,
            std::vector<fs::path>& found) {
  if (components.empty()) {
    std::error_code error;
    if (fs::symlink_status(base, error).type() != fs::file_type::not_found && !base.empty()) {
      found.push_back(base);
    }
    return;
  }
  const std::string& component = components.front();
  const auto rest = components.subspan(1);
  if (!is_glob(component)) return expand(base / component, rest, found);
  if (!is_folder(base)) return;

  const bool any_depth = component == kAnyDepth;
  if (any_depth) expand(base, rest, found);
  for (const fs::directory_entry& entry : list_folder(base)) {
    const fs::path name = entry.path().filename();
    if (fnmatch(component.c_str(), name.c_str(), FNM_PERIOD) != 0) continue;
    if (!any_depth) {
      expand(entry.path(), rest, found);
    } else if (std::error_code error; entry.is_directory(error) && !entry.is_symlink(error)) {
      expand(entry.path(), components, found);
    }
  }
}

}  // namespace

bool is_glob(std::string_view text) noexcept { return text.find_first_of("*?[") != text.npos; }

std::vector<fs::path> expand_glob(std::string_view pattern) {
  const std::vector<std::string> components = split(pattern);
  std::vector<fs::path> found;
  expand(pattern.starts_with('/') ? "/" : "", components, found);
  if (std::find(components.begin(), components.end(), kAnyDepth) != components.end()) {
    found.erase(std::remove_if(found.begin(), found.end(), is_folder), found.end());
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace prs::image
