// Listing folders. Internal. Failures are io errors that begin with the folder's path.
#pragma once

#include <filesystem>
#include <vector>

namespace prs::image {

/// The entries directly in a folder, in any order. An empty path is the current folder, whose
/// entries then have no folder in their paths.
std::vector<std::filesystem::directory_entry> list_folder(const std::filesystem::path& folder);

/// The image files (by extension) in a folder and the folders below it, sorted by path. Follows
/// links, except to a folder that it is in already.
std::vector<std::filesystem::path> find_images(const std::filesystem::path& folder);

}  // namespace prs::image
