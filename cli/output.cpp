#include "output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "errors.hpp"

namespace prs::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBufferBytes = std::size_t{1} << 16;

[[noreturn]] void fail_errno(std::string_view what, std::string_view name) {
  const int error = errno;
  fail(ErrorCode::kIo, "{}: cannot {}: {}", name, what, std::generic_category().message(error));
}

}  // namespace

Output::Output(int descriptor, std::string name, fs::path target)
    : descriptor_(descriptor), name_(std::move(name)), target_(std::move(target)) {}

Output::Output(Output&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      target_(std::move(other.target_)),
      buffer_(std::move(other.buffer_)) {}

Output::~Output() {
  if (descriptor_ >= 0 && descriptor_ != STDOUT_FILENO) ::close(descriptor_);
}

Output Output::standard_output() { return {STDOUT_FILENO, "standard output", {}}; }

Output Output::create(const fs::path& path, bool overwrite) {
  refuse_existing(path, overwrite);
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) fail(ErrorCode::kIo, "{}: is a folder", path.string());
  // Renaming over a device or a pipe would replace it.
  const bool direct = fs::exists(status) && !fs::is_regular_file(status);
  const fs::path written = direct ? path : fs::path(path.string() + ".partial");
  const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (direct ? 0 : O_TRUNC);
  const int descriptor = ::open(written.c_str(), flags, 0666);
  if (descriptor < 0) fail_errno("create the file", written.string());
  return {descriptor, written.string(), direct ? fs::path() : path};
}

void Output::append(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR) {
      buffer_.clear();
      fail_errno("write", name_);
    }
  }
  buffer_.clear();
}

void Output::commit() {
  flush();
  if (descriptor_ == STDOUT_FILENO) return;
  // A full disk or quota may show itself only when the data are stored.
  if (!target_.empty() && ::fsync(descriptor_) != 0) fail_errno("write", name_);
  if (::close(std::exchange(descriptor_, -1)) != 0) fail_errno("write", name_);
  if (!target_.empty() && ::rename(name_.c_str(), target_.c_str()) != 0) {
    fail_errno("rename to " + target_.string(), name_);
  }
}

void refuse_existing(const fs::path& path, bool overwrite) {
  std::error_code ignored;
  if (!overwrite && fs::is_regular_file(path, ignored)) {
    fail(ErrorCode::kIo, "{}: exists already; --overwrite replaces it", path.string());
  }
}

void print(std::string_view text) {
  Output output = Output::standard_output();
  output.append(text);
  output.commit();
}

}  // namespace prs::cli
