// Frames over a stream socket: a 4-byte little-endian length, then that many bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace prs::runtime {

/// No message is larger: a mini-batch of 100,000 long paths fits.
inline constexpr std::uint32_t kMaxFrameBytes = 256U << 20;

/// Frames written to a non-blocking socket: what the socket does not take at once waits here.
class FrameWriter {
 public:
  void add(std::string_view payload);
  /// Writes what the socket takes. False: the peer is gone. Throws io for other failures.
  bool flush(int fd);
  bool pending() const { return sent_ < buffer_.size(); }

 private:
  std::string buffer_;
  std::size_t sent_ = 0;
};

/// Cuts a stream into frames.
class FrameReader {
 public:
  enum class Fill { kData, kNothingNow, kEnded };
  /// Reads what is there, blocking only when the socket does; never with MSG_DONTWAIT in `flags`.
  Fill fill(int fd, int flags = 0);
  /// The next whole frame; valid until the next call of fill(). Throws io for a length past
  /// kMaxFrameBytes: the stream is damaged.
  std::optional<std::string_view> next();

 private:
  std::string buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace prs::runtime
