// Inflating gzip from memory, as much as is asked for. Internal.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace prs::image {

bool is_gzip(std::span<const std::byte> bytes) noexcept;

/// A reader of a gzip file of one or more members. Not thread-safe; neither copied nor moved, since
/// zlib keeps its address. Throws invalid argument, beginning with `name`, for damaged data.
class GzipReader {
 public:
  GzipReader(std::span<const std::byte> compressed, std::string_view name);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Fills `destination`; fewer bytes are returned only at the end of the last member, whose
  /// checksum is then verified.
  std::size_t read(std::span<std::byte> destination);

 private:
  /// Starts on the member at the front of the input; false when there is none left.
  bool next_member();

  std::string name_;
  std::span<const std::byte> rest_;  // Not yet handed to zlib.
  z_stream stream_{};
  bool ended_ = false;
};

}  // namespace prs::image
