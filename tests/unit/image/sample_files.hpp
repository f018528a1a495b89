// Small image and record files of every format, made in memory; for the unit tests and as the
// fuzzers' corpus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "prs/image.hpp"

namespace prs::test {

using Bytes = std::vector<std::byte>;

Bytes bytes_of(std::string_view text);
Bytes operator+(Bytes left, const Bytes& right);

/// An image whose pixels differ: (x * 7 + y * 13 + c * 29) mod 256.
Image pattern_image(std::int64_t width, std::int64_t height, std::int64_t channels);

struct PngSpec {
  int width = 0;
  int height = 0;
  int bit_depth = 8;
  int color_type = 0;  ///< As in IHDR: 0 gray, 2 RGB, 3 palette, 4 gray + alpha, 6 RGBA.
  bool interlaced = false;
  Bytes palette = {};  ///< RGB triples.
  Bytes palette_alpha = {};
};
/// A PNG with these rows, packed as PNG stores them.
Bytes png_file(const PngSpec& spec, const Bytes& rows);
/// A chunk of a PNG with a correct checksum.
Bytes png_chunk(std::string_view type, const Bytes& data);
/// A number as PNG stores it.
Bytes big(std::uint32_t value);
/// A zlib stream.
Bytes compressed(const Bytes& raw);

/// Quality 100 without subsampling. Four channels: as CMYK.
Bytes jpeg_file(const Image& image, bool progressive = false);

struct TiffSpec {
  bool big_endian = false;
  bool big_tiff = false;
  int compression = 1;  ///< 1 none, 5 LZW, 8 deflate, 7 JPEG, 32773 PackBits.
  int orientation = 1;
};
Bytes tiff_file(const Image& image, const TiffSpec& spec = {});

/// "P5" or "P6" with maxval 255.
Bytes pnm_file(const Image& image);

/// 24 bits, or 8 with a gray palette for one channel; bottom row first unless `top_down`.
Bytes bmp_file(const Image& image, bool top_down = false);

Bytes idx_file(int type, std::span<const std::uint32_t> extents, const Bytes& elements);
Bytes npy_file(std::string_view header, const Bytes& elements, int major = 1);
Bytes gzip(const Bytes& bytes);

/// (file name, contents): at least one of every format and of its main variants.
std::vector<std::pair<std::string, Bytes>> sample_images();
std::vector<std::pair<std::string, Bytes>> sample_record_files();

}  // namespace prs::test
