// The PNG files that most are: 8 bits, gray or RGB, with or without alpha, not interlaced. Decoded
// here, through libdeflate, since of a small file libpng's and zlib's set-up are most of the work;
// whatever is unusual or damaged is left to libpng, which knows it or refuses it. Internal.
//
// libdeflate is less strict than zlib about codes that no encoder makes (unused symbols that are
// used after all, say). No damage makes them either: both checksums would have to be right.
//
//   file  = signature IHDR skipped* IDAT+ skipped* IEND
//   chunk = length:u32 type:4 data crc:u32, big-endian; the CRC-32 is over type and data
//   IDAT  = together one zlib stream of rows: (filter:u8 samples)*
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

struct libdeflate_decompressor;

namespace prs::image {

/// What a plain file's header says.
struct PlainPng {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t samples = 0;   ///< Of a pixel in the file: 1 to 4; alpha is the last of 2 and 4.
  std::int64_t channels = 0;  ///< Without alpha: 1 or 3.
};

/// Keeps its buffers, so that a file no larger than those before allocates nothing. One thread at a
/// time.
class PlainPngDecoder {
 public:
  /// Throws out of memory.
  PlainPngDecoder();

  /// Looks at the whole file: structure, checksums of all chunks. Nothing when libpng is to see it.
  /// decode() is then about this file, whose bytes must stay.
  std::optional<PlainPng> open(std::span<const std::byte> bytes);
  /// Writes the pixels, [height, width, channels], to `destination`. False when libpng is to see
  /// the file; `destination` holds anything then.
  bool decode(std::uint8_t* destination);

 private:
  struct Free {
    void operator()(libdeflate_decompressor* decompressor) const;
  };

  bool inflate(std::size_t size);

  std::unique_ptr<libdeflate_decompressor, Free> decompressor_;
  PlainPng png_;
  std::span<const std::byte> stream_;  ///< All IDAT data: in the file, or in `joined_`.
  std::vector<std::byte> joined_;
  std::vector<std::uint8_t> rows_;   // [height, 1 + width * samples]
  std::vector<std::uint8_t> above_;  ///< The row above the first: zeros.
};

}  // namespace prs::image
