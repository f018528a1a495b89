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

fs::path partial_of(const fs::path& path) { return path.string() + ".partial"; }

/// Renaming over a device or a pipe would replace it.
bool is_written_directly(const fs::file_status& status) {
  return fs::exists(status) && !fs::is_regular_file(status);
}

void refuse_existing(const fs::path& path, bool overwrite) {
  std::error_code ignored;
  if (!overwrite && fs::is_regular_file(path, ignored)) {
    fail(ErrorCode::kIo, "{}: exists already; --overwrite replaces it", path.string());
  }
}

}  // namespace

Output::Output(int descriptor, std::string name, fs::path target)
    : descriptor_(descriptor), name_(std::move(name)), target_(std::move(target)) {}

Output::Output(Output&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      target_(std::move(other.target_)),
      written_(other.written_),
      buffer_(std::move(other.buffer_)) {}

Output::~Output() {
  if (descriptor_ < 0 || descriptor_ == STDOUT_FILENO) return;
  ::close(descriptor_);
  // Nothing to keep, and the next run would be refused because of it.
  if (!target_.empty() && !written_) ::unlink(name_.c_str());
}

Output Output::standard_output() { return {STDOUT_FILENO, "standard output", {}}; }

Output Output::create(const fs::path& path, bool overwrite) {
  refuse_existing(path, overwrite);
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_directory(status)) fail(ErrorCode::kIo, "{}: is a folder", path.string());
  const bool direct = is_written_directly(status);
  const fs::path written = direct ? path : partial_of(path);
  const int how = direct ? 0 : overwrite ? O_TRUNC : O_EXCL;
  const int descriptor = ::open(written.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | how, 0666);
  if (descriptor < 0 && errno == EEXIST) {
    fail(ErrorCode::kIo,
         "{}: holds what an earlier run finished, or another run is writing it; rename it to keep "
         "it, or give --overwrite",
         written.string());
  }
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
      written_ = true;
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

bool write_the_same(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  for (const fs::path& path : {a, b}) {
    if (is_written_directly(fs::status(path, ignored))) return false;
  }
  const fs::path whole_a = fs::weakly_canonical(fs::absolute(a));
  const fs::path whole_b = fs::weakly_canonical(fs::absolute(b));
  return whole_a == whole_b || partial_of(whole_a) == whole_b || whole_a == partial_of(whole_b);
}

void print(std::string_view text) {
  Output output = Output::standard_output();
  output.append(text);
  output.commit();
}

}  // namespace prs::cli
