#include "output/read_window.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace prs::output {
namespace {

constexpr std::int64_t kReadBytes = std::int64_t{64} << 10;

}  // namespace

std::string_view ReadWindow::read(const Descriptor& file, const std::filesystem::path& path,
                                  std::int64_t offset, std::int64_t size_bytes) {
  if (offset < begin_ || offset + size_bytes > begin_ + held_) {
    held_ = 0;
    begin_ = offset;
    const std::int64_t wanted = std::max(size_bytes, kReadBytes);
    if (bytes_.size() < static_cast<std::size_t>(wanted)) {
      bytes_.resize(static_cast<std::size_t>(wanted));
    }
    // What is there already; of that read_at() needs to add no more than what was asked for.
    held_ = std::max<std::int64_t>(
        ::pread(file.get(), bytes_.data(), static_cast<std::size_t>(wanted), offset), 0);
    if (held_ < size_bytes) {
      const std::int64_t held = std::exchange(held_, 0);
      read_at(file, path, offset + held, bytes_.data() + held, size_bytes - held);
      held_ = size_bytes;
    }
  }
  return std::string_view(bytes_).substr(static_cast<std::size_t>(offset - begin_),
                                         static_cast<std::size_t>(size_bytes));
}

}  // namespace prs::output
