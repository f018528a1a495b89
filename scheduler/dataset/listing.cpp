// The listing file:  magic  (length crc32 bytes)*  [length 0 crc32 0]     the last: it is complete
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <prs/error.hpp>
#include <vector>

#include "dataset/dataset.hpp"

namespace prs::dataset {
namespace {

constexpr std::string_view kMagic = "prs-gpu listing 1\n";
constexpr std::size_t kHeadBytes = 8;
/// Written at once when so much has come together, and whenever it is read.
constexpr std::size_t kBufferBytes = 256 * 1024;
constexpr std::uint32_t kMaxRecordBytes = 1U << 30;

std::uint32_t crc(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

void put32(std::string& out, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(value >> shift & 0xFF);
}

std::uint32_t get32(const char* bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

struct ListingWriter::State {
  std::filesystem::path path;
  int fd = -1;
  std::int64_t written = 0;  ///< Bytes of the file.
  mutable std::string buffer;
  std::vector<std::int64_t> offsets;
  bool finished = false;

  [[noreturn]] void fail(const char* action, int error) const {
    throw Error(ErrorCode::kIo,
                fmt::format("cannot {} {}: {}", action, path.string(), std::strerror(error)));
  }

  void flush() {
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t count = ::pwrite(fd, buffer.data() + done, buffer.size() - done,
                                     static_cast<off_t>(written + static_cast<std::int64_t>(done)));
      if (count < 0 && errno != EINTR) fail("write", errno);
      if (count > 0) done += static_cast<std::size_t>(count);
    }
    written += static_cast<std::int64_t>(done);
    buffer.clear();
  }

  /// False at the end of the file.
  bool read_at(std::int64_t offset, char* to, std::size_t size) const {
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = ::pread(fd, to + done, size - done,
                                    static_cast<off_t>(offset + static_cast<std::int64_t>(done)));
      if (count < 0 && errno != EINTR) fail("read", errno);
      if (count == 0) return false;
      if (count > 0) done += static_cast<std::size_t>(count);
    }
    return true;
  }

  /// The record at `offset`; false when it is torn or damaged.
  bool read_record(std::int64_t offset, std::string& bytes) const {
    char head[kHeadBytes];
    if (!read_at(offset, head, sizeof head)) return false;
    const std::uint32_t size = get32(head);
    if (size > kMaxRecordBytes) return false;
    struct stat status {};
    if (::fstat(fd, &status) != 0 ||
        status.st_size - offset < static_cast<std::int64_t>(kHeadBytes + size)) {
      return false;
    }
    bytes.resize(size);
    return read_at(offset + static_cast<std::int64_t>(kHeadBytes), bytes.data(), size) &&
           crc(bytes) == get32(head + 4);
  }

  void add_record(std::string_view bytes) {
    put32(buffer, static_cast<std::uint32_t>(bytes.size()));
    put32(buffer, crc(bytes));
    buffer += bytes;
    if (buffer.size() >= kBufferBytes) flush();
  }

  void recover() {
    std::string head(kMagic.size(), '\0');
    if (!read_at(0, head.data(), head.size()) || head != kMagic) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} is no listing of prs-gpu", path.string()));
    }
    written = static_cast<std::int64_t>(kMagic.size());
    std::string bytes;
    while (!finished && read_record(written, bytes)) {
      if (bytes.empty()) {
        finished = true;
      } else {
        offsets.push_back(written);
      }
      written += static_cast<std::int64_t>(kHeadBytes + bytes.size());
    }
    if (::ftruncate(fd, static_cast<off_t>(written)) != 0) fail("cut", errno);
  }
};

ListingWriter::ListingWriter(const std::filesystem::path& path, bool resume)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.path = path;
  const int mode = resume ? 0 : O_TRUNC;
  state.fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | mode, 0666);
  if (state.fd < 0) state.fail("open", errno);
  struct stat status {};
  ::fstat(state.fd, &status);
  // A job killed in its first moments has an empty listing.
  if (status.st_size < static_cast<off_t>(kMagic.size())) {
    state.buffer = kMagic;
    state.flush();
  } else {
    state.recover();
  }
}

ListingWriter::~ListingWriter() {
  if (state_->fd >= 0) ::close(state_->fd);
}

void ListingWriter::append(const MiniBatch& mini_batch) {
  State& state = *state_;
  state.offsets.push_back(state.written + static_cast<std::int64_t>(state.buffer.size()));
  state.add_record(serialize(mini_batch));
}

void ListingWriter::finish() {
  State& state = *state_;
  if (state.finished) return;
  state.add_record({});
  state.flush();
  state.finished = true;
}

bool ListingWriter::finished() const { return state_->finished; }
std::int64_t ListingWriter::size() const {
  return static_cast<std::int64_t>(state_->offsets.size());
}

MiniBatch ListingWriter::read(std::int64_t id) const {
  State& state = *state_;
  const std::int64_t offset = state.offsets.at(static_cast<std::size_t>(id));
  if (offset >= state.written) state.flush();
  std::string bytes;
  if (!state.read_record(offset, bytes)) {
    throw Error(ErrorCode::kIo,
                fmt::format("mini-batch {} in {} is damaged", id, state.path.string()));
  }
  return parse(bytes);
}

}  // namespace prs::dataset
