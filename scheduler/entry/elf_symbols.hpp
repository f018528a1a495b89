// What a shared library exports, read from its file without loading it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace prs::entry {

/// The names of the functions that a 64-bit ELF shared object for this machine exports. Throws
/// invalid argument naming the file when it is something else or damaged, io when it cannot be
/// read.
std::vector<std::string> exported_functions(const std::filesystem::path& path);

}  // namespace prs::entry
