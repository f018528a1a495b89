#include "output/segment.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "output/file_io.hpp"

namespace prs::output {

struct SegmentWriter::State {
  std::filesystem::path path;
  std::string name = path.filename().string();
  Descriptor file;
  /// What write(2) has reported so far, the torn beginnings of failed appends included.
  std::int64_t length = 0;
  std::string joined;  ///< Of several mini-batches; kept for the next.
};

SegmentWriter::SegmentWriter(const std::filesystem::path& path)
    : state_(std::make_unique<State>(
          State{.path = path,
                .file = open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_EXCL),
                .joined = {}})) {}

SegmentWriter::~SegmentWriter() = default;

std::vector<Range> SegmentWriter::append(std::span<const std::string_view> rows) {
  std::vector<Range> ranges;
  ranges.reserve(rows.size());
  state_->joined.clear();
  for (const std::string_view one : rows) {
    const std::int64_t offset = state_->length + static_cast<std::int64_t>(state_->joined.size());
    ranges.push_back({state_->name, offset, static_cast<std::int64_t>(one.size()), crc32c(one)});
    if (rows.size() > 1) state_->joined += one;
  }
  std::string_view rest = rows.size() == 1 ? rows[0] : std::string_view(state_->joined);
  while (!rest.empty()) {
    const ssize_t count = ::write(state_->file.get(), rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_io(state_->path, "write", errno);
    state_->length += count;
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  return ranges;
}

}  // namespace prs::output
