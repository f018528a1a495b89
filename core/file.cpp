#include "file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "check.hpp"

namespace prs {

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(ErrorCode::kIo, "{}: {}", path_.string(), std::strerror(errno));
  struct stat status {};
  const bool regular = ::fstat(descriptor_, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) {
    ::close(descriptor_);
    fail(ErrorCode::kIo, "{}: not a regular file", path_.string());
  }
  size_ = status.st_size;
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::read_at(std::int64_t offset, void* destination, std::int64_t size_bytes) const {
  auto* bytes = static_cast<char*>(destination);
  while (size_bytes > 0) {
    const ssize_t count = ::pread(descriptor_, bytes, static_cast<std::size_t>(size_bytes), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorCode::kIo, "{}: {}", path_.string(), std::strerror(errno));
    if (count == 0)
      fail(ErrorCode::kIo, "{}: the file became shorter while it was read", path_.string());
    bytes += count;
    offset += count;
    size_bytes -= count;
  }
}

std::string InputFile::read_all() const {
  std::string bytes;
  try {
    bytes.resize(static_cast<std::size_t>(size_));
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "{}: {} bytes do not fit into memory", path_.string(), size_);
  }
  read_at(0, bytes.data(), size_);
  return bytes;
}

}  // namespace prs
