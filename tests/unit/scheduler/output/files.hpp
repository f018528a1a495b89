// Small files of the tests.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "support/file_size_limit.hpp"
#include "support/files.hpp"

namespace prs::test {

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace prs::test
