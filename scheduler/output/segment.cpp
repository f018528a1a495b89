#include "output/segment.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "output/file_io.hpp"

namespace prs::output {

struct SegmentWriter::State {
  std::filesystem::path path;
  Descriptor file;
  /// What write(2) has reported so far, the torn beginnings of failed appends included.
  std::int64_t length = 0;
};

SegmentWriter::SegmentWriter(const std::filesystem::path& path)
    : state_(std::make_unique<State>(
          State{path, open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL), 0})) {}

SegmentWriter::~SegmentWriter() = default;

Range SegmentWriter::append(std::string_view rows) {
  const Range range{state_->path.filename().string(), state_->length,
                    static_cast<std::int64_t>(rows.size()), crc32c(rows)};
  while (!rows.empty()) {
    const ssize_t count = ::write(state_->file.get(), rows.data(), rows.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(state_->path, "write", errno);
    state_->length += count;
    rows.remove_prefix(static_cast<std::size_t>(count));
  }
  return range;
}

}  // namespace prs::output
