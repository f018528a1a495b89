// A regular file opened for reading.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace prs {

/// Opens `path`; the size is that at opening. Throws io naming the path when it cannot be opened or
/// is no regular file (opening never blocks on a FIFO). Not copyable; reads are thread-safe.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::int64_t size() const noexcept { return size_; }
  int descriptor() const noexcept { return descriptor_; }
  /// Exactly `size_bytes` bytes from `offset`. Throws io, also when the file ends early.
  void read_at(std::int64_t offset, void* destination, std::int64_t size_bytes) const;
  /// The whole file. Throws io, out of memory.
  std::string read_all() const;

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
  std::int64_t size_ = 0;
};

}  // namespace prs
