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

[[noreturn]] void fail_errno(const std::string& path, const char* action) {
  fail(ErrorCode::kIo, "{}: cannot {} ({})", path, action, std::generic_category().message(errno));
}

/// A file opened for reading.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path) {
    // O_NONBLOCK: opening a FIFO without a writer would wait for one.
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd_ < 0) fail_errno(path, "open");
  }
  ~InputFile() { ::close(fd_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int fd() const { return fd_; }

  /// Of a regular file; refuses any other.
  std::int64_t size() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) fail_errno(path_, "inspect");
    if (S_ISREG(status.st_mode)) return status.st_size;
    fail(ErrorCode::kIo, "{}: {}, not a regular file", path_,
         S_ISDIR(status.st_mode)    ? "a folder"
         : S_ISFIFO(status.st_mode) ? "a FIFO"
                                    : "a device or socket");
  }

  /// Fills `destination` from the start of the file; the number of bytes the file had for it.
  std::size_t read(std::span<std::byte> destination) const {
    std::size_t done = 0;
    while (done < destination.size()) {
      const ssize_t count = ::pread(fd_, destination.data() + done, destination.size() - done,
                                    static_cast<off_t>(done));
      if (count == 0) break;
      if (count > 0) {
        done += static_cast<std::size_t>(count);
      } else if (errno != EINTR) {
        fail_errno(path_, "read");
      }
    }
    return done;
  }

  /// The same by a single read, for a file that is smaller than `destination`; 0 when only size()
  /// can tell. Nothing is taken from a FIFO or terminal: those have no positions to read at.
  std::size_t read_small(std::span<std::byte> destination) const {
    const ssize_t count = ::pread(fd_, destination.data(), destination.size(), 0);
    const bool whole = count > 0 && static_cast<std::size_t>(count) < destination.size();
    return whole ? static_cast<std::size_t>(count) : 0;
  }

 private:
  const std::string& path_;
  int fd_ = -1;
};

/// The size of a file of which no more than `max_bytes` are wanted.
std::size_t checked_size(const InputFile& file, const std::string& path, std::int64_t max_bytes) {
  const std::int64_t size = file.size();
  if (size > max_bytes) {
    fail_argument("{}: {} bytes exceed the limit of {}", path, size, max_bytes);
  }
  return static_cast<std::size_t>(size);
}

/// Most files of small images fit: their size need not be asked for.
constexpr std::size_t kSmallFileBytes = std::size_t{1} << 16;

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::int64_t max_bytes) {
  const InputFile file(path.native());
  std::vector<std::byte> bytes(checked_size(file, path.native(), max_bytes));
  bytes.resize(file.read(bytes));
  return bytes;
}

std::span<const std::byte> read_file(const std::string& path, std::int64_t max_bytes,
                                     std::vector<std::byte>& buffer) {
  const InputFile file(path);
  if (buffer.size() < kSmallFileBytes) buffer.resize(kSmallFileBytes);
  const std::size_t small = file.read_small(buffer);
  if (small > 0 && static_cast<std::int64_t>(small) <= max_bytes) return {buffer.data(), small};
  const std::size_t size = checked_size(file, path, max_bytes);
  if (buffer.size() < size) buffer.resize(size);
  return {buffer.data(), file.read({buffer.data(), size})};
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  const InputFile file(path.native());
  size_ = static_cast<std::size_t>(file.size());
  if (size_ == 0) return;
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.fd(), 0);
  if (data == MAP_FAILED) fail_errno(path.native(), "map");
  const auto unmap = [size = size_](const std::byte* mapped) {
    ::munmap(const_cast<std::byte*>(mapped), size);
  };
  data_ = std::shared_ptr<const std::byte>(static_cast<const std::byte*>(data), unmap);
}

}  // namespace prs::image
