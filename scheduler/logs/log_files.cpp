#include "logs/log_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace prs::logs {
namespace {

namespace fs = std::filesystem;

std::string reason(int error) { return std::generic_category().message(error); }

/// Opens the file, making its folder when that is missing. -1 with errno.
int open_in_folder(const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor >= 0 || errno != ENOENT) return descriptor;
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  if (error) {
    errno = error.value();
    return -1;
  }
  return ::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0666);
}

/// Writes all of the text; false with errno, and `text` begins with what was not written.
bool write_all(int descriptor, std::string_view& text) {
  while (!text.empty()) {
    const ssize_t count = ::write(descriptor, text.data(), text.size());
    if (count >= 0) {
      text.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

/// A crash may have left half a line; what follows begins on a line of its own.
bool ends_within_a_line(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0) {
    return false;
  }
  char last = '\n';
  return ::pread(descriptor, &last, 1, status.st_size - 1) == 1 && last != '\n';
}

}  // namespace

LogFiles::~LogFiles() {
  try {
    flush();
  } catch (...) {  // Out of memory at the very end: what is buffered is lost.
  }
  for (auto& [path, file] : files_) close_descriptor(file);
}

void LogFiles::append(const fs::path& path, std::string_view text) {
  File& file = file_of(path.native());
  file.buffer += text;
  if (!file.dirty) {
    file.dirty = true;
    dirty_.push_back(path.native());
  }
  if (file.buffer.size() >= kBufferBytes) write(path.native(), file);
}

void LogFiles::append_now(const fs::path& path, std::string_view text) {
  File& file = file_of(path.native());
  file.buffer += text;
  write(path.native(), file);
}

void LogFiles::flush() {
  for (const std::string& path : std::exchange(dirty_, {})) {
    const auto found = files_.find(path);
    if (found == files_.end()) continue;
    found->second.dirty = false;
    if (!found->second.buffer.empty()) write(path, found->second);
  }
}

void LogFiles::close(const fs::path& path) {
  const auto found = files_.find(path.native());
  if (found == files_.end()) return;
  if (!found->second.buffer.empty()) write(path.native(), found->second);
  close_descriptor(found->second);
  files_.erase(found);
}

void LogFiles::replace(const fs::path& path, std::string_view text) {
  const std::string written = path.string() + ".tmp";
  const int descriptor = open_in_folder(written, O_WRONLY | O_TRUNC);
  bool good = descriptor >= 0 && write_all(descriptor, text);
  int error = good ? 0 : errno;
  if (descriptor >= 0 && ::close(descriptor) != 0 && good) {
    good = false;
    error = errno;
  }
  if (good && ::rename(written.c_str(), path.c_str()) != 0) {
    good = false;
    error = errno;
  }
  if (good) return;
  remember(fmt::format("{}: cannot write: {}", path.string(), reason(error)));
  if (descriptor >= 0) ::unlink(written.c_str());
}

void LogFiles::remember(std::string problem) {
  if (problem_.empty()) problem_ = std::move(problem);
}

LogFiles::File& LogFiles::file_of(const std::string& path) {
  File& file = files_[path];
  file.last_use = ++uses_;
  return file;
}

void LogFiles::write(const std::string& path, File& file) {
  if (file.descriptor < 0 && !open(path, file)) {
    remember(fmt::format("{}: cannot open: {}", path, reason(errno)));
    file.buffer.clear();
    return;
  }
  std::string_view rest = file.buffer;
  if (!write_all(file.descriptor, rest)) {
    remember(fmt::format("{}: cannot write: {}", path, reason(errno)));
    // What got through ends anywhere; without it the file ends with a whole line.
    const auto torn = static_cast<off_t>(file.buffer.size() - rest.size());
    struct stat status {};
    if (torn > 0 && ::fstat(file.descriptor, &status) == 0 &&
        ::ftruncate(file.descriptor, status.st_size - torn) != 0) {
      close_descriptor(file);  // Opening it again mends the line's end.
    }
  }
  file.buffer.clear();
}

bool LogFiles::open(const std::string& path, File& file) {
  if (open_count_ >= kMaxOpen) close_least_recently_used();
  file.descriptor = open_in_folder(path, O_RDWR | O_APPEND);
  if (file.descriptor < 0) return false;
  ++open_count_;
  if (ends_within_a_line(file.descriptor)) file.buffer.insert(file.buffer.begin(), '\n');
  return true;
}

void LogFiles::close_descriptor(File& file) {
  if (file.descriptor < 0) return;
  ::close(std::exchange(file.descriptor, -1));
  --open_count_;
}

void LogFiles::close_least_recently_used() {
  File* oldest = nullptr;
  for (auto& [path, file] : files_) {
    if (file.descriptor >= 0 && (!oldest || file.last_use < oldest->last_use)) oldest = &file;
  }
  if (oldest) close_descriptor(*oldest);
}

bool has_text(const std::filesystem::path& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) &&
         std::filesystem::file_size(path, error) > 0 && !error;
}

}  // namespace prs::logs
