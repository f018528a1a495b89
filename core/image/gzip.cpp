#include "image/gzip.hpp"

#include <algorithm>

#include "check.hpp"
#include "image/bytes.hpp"

namespace prs::image {
namespace {

// zlib counts in 32 bits.
constexpr std::size_t kMostStep = std::size_t{1} << 30;

}  // namespace

bool is_gzip(std::span<const std::byte> bytes) noexcept { return starts_with(bytes, "\x1f\x8b"); }

GzipReader::GzipReader(std::span<const std::byte> compressed, std::string_view name)
    : name_(name), rest_(compressed) {
  constexpr int kGzipOnly = 16;
  if (inflateInit2(&stream_, kGzipOnly + MAX_WBITS) != Z_OK) {
    fail(ErrorCode::kOutOfMemory, "{}: cannot allocate a gzip reader", name_);
  }
}

GzipReader::~GzipReader() { inflateEnd(&stream_); }

bool GzipReader::next_member() {
  // What zlib was handed and did not use lies directly before what it was not handed.
  rest_ = {rest_.data() - stream_.avail_in, rest_.size() + stream_.avail_in};
  stream_.avail_in = 0;
  if (rest_.empty()) return false;
  if (!is_gzip(rest_)) fail_argument("{}: {} bytes after the gzip data", name_, rest_.size());
  inflateReset(&stream_);
  return true;
}

std::size_t GzipReader::read(std::span<std::byte> destination) {
  std::size_t done = 0;
  while (done < destination.size() && !ended_) {
    if (stream_.avail_in == 0) {
      const std::size_t step = std::min(rest_.size(), kMostStep);
      // zlib only reads; its interface predates const.
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(rest_.data()));
      stream_.avail_in = static_cast<uInt>(step);
      rest_ = rest_.subspan(step);
    }
    const std::size_t room = std::min(destination.size() - done, kMostStep);
    stream_.next_out = reinterpret_cast<Bytef*>(destination.data() + done);
    stream_.avail_out = static_cast<uInt>(room);
    const int result = inflate(&stream_, Z_NO_FLUSH);
    done += room - stream_.avail_out;
    if (result == Z_STREAM_END) {
      ended_ = !next_member();
    } else if (result == Z_BUF_ERROR) {
      fail_argument("{}: truncated gzip data", name_);
    } else if (result == Z_MEM_ERROR) {
      fail(ErrorCode::kOutOfMemory, "{}: no memory to inflate it", name_);
    } else if (result != Z_OK) {
      fail_argument("{}: corrupt gzip data ({})", name_,
                    stream_.msg != nullptr ? stream_.msg : zError(result));
    }
  }
  return done;
}

}  // namespace prs::image
