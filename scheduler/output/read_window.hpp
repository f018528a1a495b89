// Reading pieces of a file that mostly lie one behind the other, by few calls of the kernel.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "output/file_io.hpp"

namespace prs::output {

/// For a file whose bytes stay as they are once they are written; it may grow. One thread at a
/// time.
class ReadWindow {
 public:
  /// The bytes [offset, offset + size_bytes), valid until the next call. Throws as read_at().
  std::string_view read(const Descriptor& file, const std::filesystem::path& path,
                        std::int64_t offset, std::int64_t size_bytes);

 private:
  std::string bytes_;
  std::int64_t begin_ = 0;  ///< Where they lie in the file.
  std::int64_t held_ = 0;   ///< So many of them were read.
};

}  // namespace prs::output
