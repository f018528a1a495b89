#include "output/file_io.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <prs/error.hpp>

namespace prs::output {
namespace {

namespace fs = std::filesystem;

const char* advice(int error) {
  switch (error) {
    case ENOSPC:
      return "; free space on its disk, or choose an output folder on another one";
    case EDQUOT:
      return "; free space within your quota, or choose an output folder on another disk";
    case EFBIG:
      return "; raise the limit on file sizes (ulimit -f), or choose an output folder on a file "
             "system that allows larger files";
    case EROFS:
    case EACCES:
    case EPERM:
      return "; choose an output folder that you may write to";
    default:
      return "";
  }
}

}  // namespace

Descriptor::~Descriptor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

void fail_io(const fs::path& path, std::string_view what, int error) {
  throw Error(ErrorCode::kIo, fmt::format("{}: cannot {}: {}{}", path.string(), what,
                                          std::generic_category().message(error), advice(error)));
}

Descriptor open_file(const fs::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor < 0) {
    const int error = errno;
    fail_io(path, (flags & O_CREAT) != 0 ? "create the file" : "open the file", error);
  }
  return Descriptor(descriptor);
}

std::int64_t file_size(const Descriptor& file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_io(path, "find the file's size", errno);
  return status.st_size;
}

void read_at(const Descriptor& file, const fs::path& path, std::int64_t offset, char* destination,
             std::int64_t size_bytes) {
  while (size_bytes > 0) {
    const ssize_t count =
        ::pread(file.get(), destination, static_cast<std::size_t>(size_bytes), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path, "read", errno);
    if (count == 0) {
      throw Error(ErrorCode::kIo, fmt::format("{}: ends at byte {}, {} bytes before what was to be "
                                              "read",
                                              path.string(), offset, size_bytes));
    }
    destination += count;
    offset += count;
    size_bytes -= count;
  }
}

void write_at(const Descriptor& file, const fs::path& path, std::int64_t offset,
              std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(file.get(), bytes.data(), bytes.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(path, "write", errno);
    bytes.remove_prefix(static_cast<std::size_t>(count));
    offset += count;
  }
}

void truncate(const Descriptor& file, const fs::path& path, std::int64_t size_bytes) {
  while (::ftruncate(file.get(), size_bytes) != 0) {
    if (errno != EINTR) fail_io(path, "cut the file", errno);
  }
}

void sync_data(const Descriptor& file, const fs::path& path) {
  while (::fdatasync(file.get()) != 0) {
    if (errno != EINTR) fail_io(path, "store the file on its disk", errno);
  }
}

void sync_folder(const fs::path& folder) {
  const fs::path path = folder.empty() ? "." : folder;
  const Descriptor opened = open_file(path, O_RDONLY | O_DIRECTORY);
  while (::fsync(opened.get()) != 0) {
    // Some network file systems cannot sync a folder; they store its entries at once.
    if (errno == EINVAL) return;
    if (errno != EINTR) fail_io(path, "store the folder on its disk", errno);
  }
}

void create_folders(const fs::path& folder) {
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  if (error) fail_io(folder, "create the folder", error.value());
}

}  // namespace prs::output
