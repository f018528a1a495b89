#include "image/file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "check.hpp"

namespace prs::image {
namespace {

[[noreturn]] void fail_errno(const std::filesystem::path& path, const char* action) {
  fail(ErrorCode::kIo, "{}: cannot {} ({})", path.native(), action,
       std::generic_category().message(errno));
}

/// An open regular file.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path) : path_(path) {
    // O_NONBLOCK: opening a FIFO without a writer would wait for one.
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd_ < 0) fail_errno(path, "open");
    struct stat status {};
    const int result = ::fstat(fd_, &status);
    if (result == 0 && S_ISREG(status.st_mode)) {
      size_ = status.st_size;
      return;
    }
    const int reason = errno;
    ::close(fd_);
    errno = reason;
    if (result != 0) fail_errno(path, "inspect");
    fail(ErrorCode::kIo, "{}: {}, not a regular file", path.native(),
         S_ISDIR(status.st_mode)    ? "a folder"
         : S_ISFIFO(status.st_mode) ? "a FIFO"
                                    : "a device or socket");
  }
  ~InputFile() { ::close(fd_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int fd() const { return fd_; }
  std::int64_t size() const { return size_; }

  /// Fills `destination` from the start of the file; the number of bytes the file had for it.
  std::size_t read(std::span<std::byte> destination) const {
    std::size_t done = 0;
    while (done < destination.size()) {
      const ssize_t count = ::read(fd_, destination.data() + done, destination.size() - done);
      if (count == 0) break;
      if (count > 0) {
        done += static_cast<std::size_t>(count);
      } else if (errno != EINTR) {
        fail_errno(path_, "read");
      }
    }
    return done;
  }

 private:
  const std::filesystem::path& path_;
  int fd_ = -1;
  std::int64_t size_ = 0;
};

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  const InputFile file(path);
  if (file.size() > max_bytes) {
    fail_argument("{}: {} bytes exceed the limit of {}", path.native(), file.size(), max_bytes);
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
  bytes.resize(file.read(bytes));
  return bytes;
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const InputFile file(path);
  size_ = static_cast<std::size_t>(file.size());
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) fail_errno(path, "map");
  const auto unmap = [size = size_](const std::byte* mapped) {
    ::munmap(const_cast<std::byte*>(mapped), size);
  };
  data_ = std::shared_ptr<const std::byte>(static_cast<const std::byte*>(data), unmap);
}

}  // namespace prs::image
