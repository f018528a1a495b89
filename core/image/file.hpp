// Reading and mapping whole files. Internal. Never blocks on a FIFO or device: only regular files
// are read. Failures are io errors that begin with the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

namespace prs::image {

/// The bytes of a regular file; invalid argument when there are more than max_bytes.
std::vector<std::byte> read_file(const std::filesystem::path& path, std::int64_t max_bytes);

/// The same into a buffer that is kept: `buffer` grows as needed and never shrinks. The bytes that
/// were read, valid until it changes.
std::span<const std::byte> read_file(const std::string& path, std::int64_t max_bytes,
                                     std::vector<std::byte>& buffer);

/// A file mapped read-only; copies share the mapping. Empty for an empty file.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);

  std::span<const std::byte> bytes() const noexcept { return {data_.get(), size_}; }

 private:
  std::size_t size_ = 0;
  std::shared_ptr<const std::byte> data_;
};

}  // namespace prs::image
