#include "store/lock_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>

#include <prs/error.hpp>

namespace prs::store {
namespace {

/// " (pid N)", or "" when the file does not say.
std::string holder_of(int descriptor) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(descriptor, text.data(), text.size(), 0);
  long pid = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, pid);
  return pid > 0 ? fmt::format(" (pid {})", pid) : "";
}

}  // namespace

LockFile::LockFile(const std::filesystem::path& path)
    : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  const auto fail = [&](const char* action) {
    throw Error(ErrorCode::kIo, fmt::format("{}: cannot {}: {}", path.string(), action,
                                            std::generic_category().message(errno)));
  };
  if (descriptor_ < 0) fail("create the lock file");
  try {
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) fail("lock the file");
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("{}: another job{} uses this output; wait for its end or stop it",
                              path.string(), holder_of(descriptor_)));
    }
    const std::string pid = fmt::format("{}\n", ::getpid());
    if (::ftruncate(descriptor_, 0) != 0 ||
        ::pwrite(descriptor_, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
      fail("write the process id");
    }
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

bool LockFile::is_held(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return held;
}

LockFile::~LockFile() {
  // The file stays: removing it would let two processes lock two files of one name.
  ::close(descriptor_);
}

}  // namespace prs::store
