#include "runtime/frame.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <prs/error.hpp>

namespace prs::runtime {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kReadBytes = 64 * 1024;

[[noreturn]] void fail_socket(const char* what) {
  throw Error(ErrorCode::kIo, fmt::format("{} a worker's socket: {}", what, std::strerror(errno)));
}

std::uint32_t length_at(const char* bytes) {
  std::uint32_t length = 0;
  for (int i = 3; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

}  // namespace

void FrameWriter::add(std::string_view payload) {
  if (sent_ == buffer_.size()) {
    buffer_.clear();
    sent_ = 0;
  }
  const auto length = static_cast<std::uint32_t>(payload.size());
  for (int i = 0; i < 4; ++i) buffer_ += static_cast<char>(length >> (8 * i) & 0xFF);
  buffer_ += payload;
}

bool FrameWriter::flush(int fd) {
  while (pending()) {
    const ssize_t sent = ::send(fd, buffer_.data() + sent_, buffer_.size() - sent_, MSG_NOSIGNAL);
    if (sent >= 0) {
      sent_ += static_cast<std::size_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno == EPIPE || errno == ECONNRESET) {
      return false;
    } else if (errno != EINTR) {
      fail_socket("writing to");
    }
  }
  return true;
}

FrameReader::Fill FrameReader::fill(int fd, int flags) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (begin_ > kReadBytes) {
    buffer_.erase(0, begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(end_ + kReadBytes);
  while (true) {
    const ssize_t got = ::recv(fd, buffer_.data() + end_, buffer_.size() - end_, flags);
    if (got > 0) {
      end_ += static_cast<std::size_t>(got);
      return Fill::kData;
    }
    if (got == 0 || errno == ECONNRESET) return Fill::kEnded;
    if (errno == EAGAIN || errno == EWOULDBLOCK) return Fill::kNothingNow;
    if (errno != EINTR) fail_socket("reading from");
  }
}

std::optional<std::string_view> FrameReader::next() {
  if (end_ - begin_ < kHeaderBytes) return std::nullopt;
  const std::uint32_t length = length_at(buffer_.data() + begin_);
  if (length > kMaxFrameBytes) {
    throw Error(ErrorCode::kIo, fmt::format("a frame of {} bytes: the stream is damaged", length));
  }
  if (end_ - begin_ < kHeaderBytes + length) return std::nullopt;
  const std::string_view frame(buffer_.data() + begin_ + kHeaderBytes, length);
  begin_ += kHeaderBytes + length;
  return frame;
}

}  // namespace prs::runtime
