// File name patterns, for shells that do not expand them. Internal.
//
//   pattern   = component {"/" component}
//   component = "**"    any number of folders, or none; does not follow links to folders; at the
//                       end of the pattern, every file below
//             | text with *, ? or [..]; as in a shell, a leading dot must be written out
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace prs::image {

/// Whether the text has a character that makes it a pattern.
bool is_glob(std::string_view text) noexcept;

/// The existing files and folders that match, sorted, each once; empty when there are none. Folders
/// are left out when the pattern has a "**", which descends into them by itself.
/// Throws io when a folder on the way cannot be read.
std::vector<std::filesystem::path> expand_glob(std::string_view pattern);

}  // namespace prs::image
