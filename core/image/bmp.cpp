// BMP, uncompressed: 1, 4 or 8 bits with a palette, 16, 24 or 32 bits, with or without bit masks.
//
//   0  "BM", file size u32, 0 u32, offset of the pixels u32
//   14 header size u32: 12 (width, height as u16) or 40 and more (as i32; height < 0: top row
//   first),
//      planes u16, bits u16; from 40 on compression u32 at 30, palette entries u32 at 46
//      then masks (3 x u32 at 54) for compression 3, then the palette (BGR or BGR0)
//
// Rows are padded to four bytes. Everything is little-endian; alpha is ignored.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <vector>

#include "image/bytes.hpp"
#include "image/codec.hpp"

namespace prs::image {
namespace {

enum Compression : std::uint32_t { kPlain = 0, kRle8 = 1, kRle4 = 2, kMasks = 3, kMasksAlpha = 6 };

/// One colour of a pixel of 16 or 32 bits, as a mask.
struct ColorMask {
  std::uint32_t mask = 0;

  std::uint8_t extract(std::uint32_t pixel) const {
    if (mask == 0) return 0;
    const int shift = std::countr_zero(mask);
    const std::uint64_t most = mask >> shift;
    const std::uint64_t value = (pixel & mask) >> shift;
    return static_cast<std::uint8_t>((value * 255 + most / 2) / most);
  }
};

struct BmpHeader {
  std::int64_t width = 0;
  std::int64_t height = 0;
  bool top_down = false;
  std::int64_t bits = 0;  // Per pixel.
  std::int64_t pixels_offset = 0;
  std::int64_t palette_offset = 0;
  std::int64_t palette_entries = 0;  // 0 to 2^bits; 0 above 8 bits.
  std::int64_t palette_entry_bytes = 4;
  std::array<ColorMask, 3> masks;  // R, G, B; for 16 and 32 bits.

  std::int64_t row_bytes() const { return (width * bits + 31) / 32 * 4; }
};

BmpHeader parse_header(const Source& source) {
  const auto& bytes = source.bytes;
  const auto require = [&](std::int64_t size) {
    if (static_cast<std::int64_t>(bytes.size()) < size) refuse(source, "truncated BMP header");
  };
  const auto u16 = [&](std::int64_t at) { return load_little<std::uint16_t>(bytes.data() + at); };
  const auto u32 = [&](std::int64_t at) { return load_little<std::uint32_t>(bytes.data() + at); };

  require(26);
  BmpHeader header;
  header.pixels_offset = u32(10);
  const std::int64_t info_bytes = u32(14);
  std::uint32_t compression = kPlain;
  if (info_bytes == 12) {
    header.width = u16(18);
    header.height = u16(20);
    header.bits = u16(24);
    header.palette_offset = 26;
    header.palette_entry_bytes = 3;
  } else if (info_bytes >= 40 && info_bytes <= 1024) {
    require(54);
    header.width = load_little<std::int32_t>(bytes.data() + 18);
    header.height = load_little<std::int32_t>(bytes.data() + 22);
    header.bits = u16(28);
    compression = u32(30);
    header.palette_entries = u32(46);
    header.palette_offset = 14 + info_bytes;
  } else {
    refuse(source, "corrupt BMP (an info header of {} bytes)", info_bytes);
  }
  header.top_down = header.height < 0;
  header.height = std::abs(header.height);
  check_extents(source, header.width, header.height);

  const bool masked = compression == kMasks || compression == kMasksAlpha;
  if (compression == kRle8 || compression == kRle4) {
    refuse(source, "run-length-encoded BMP is not supported; save it uncompressed or as PNG");
  }
  if (compression != kPlain && !masked) {
    refuse(source, "corrupt or unsupported BMP (compression {})", compression);
  }
  switch (header.bits) {
    case 1:
    case 4:
    case 8:
      if (header.palette_entries == 0) header.palette_entries = std::int64_t{1} << header.bits;
      if (masked || header.palette_entries > (std::int64_t{1} << header.bits)) {
        refuse(source, "corrupt BMP (palette)");
      }
      require(header.palette_offset + header.palette_entries * header.palette_entry_bytes);
      break;
    case 16:
      header.masks = {{{0x7C00}, {0x03E0}, {0x001F}}};
      break;
    case 24:
      if (masked) refuse(source, "corrupt BMP (bit masks with 24 bits per pixel)");
      break;
    case 32:
      header.masks = {{{0xFF0000}, {0xFF00}, {0xFF}}};
      break;
    default:
      refuse(source, "corrupt or unsupported BMP ({} bits per pixel)", header.bits);
  }
  // With more than 8 bits the palette is but a hint for displays.
  if (header.bits > 8) header.palette_entries = 0;
  if (masked) {
    require(66);
    header.masks = {{{u32(54)}, {u32(58)}, {u32(62)}}};
  }
  return header;
}

using Color = std::array<std::uint8_t, 3>;  // R, G, B

/// Always 256 entries, so that no index can miss: colours the file does not define are black.
std::array<Color, 256> read_palette(const Source& source, const BmpHeader& header) {
  std::array<Color, 256> palette{};
  const std::byte* from = source.bytes.data() + header.palette_offset;
  for (std::int64_t i = 0; i < header.palette_entries; ++i, from += header.palette_entry_bytes) {
    for (std::size_t c = 0; c < 3; ++c) {
      palette[static_cast<std::size_t>(i)][c] = std::to_integer<std::uint8_t>(from[2 - c]);
    }
  }
  return palette;
}

/// Calls put(color) for each pixel of the row at `from`.
template <typename Put>
void read_row(const BmpHeader& header, const std::array<Color, 256>& palette, const std::byte* from,
              const Put& put) {
  const auto masked = [&](std::uint32_t pixel) {
    return Color{header.masks[0].extract(pixel), header.masks[1].extract(pixel),
                 header.masks[2].extract(pixel)};
  };
  for (std::int64_t x = 0; x < header.width; ++x) {
    switch (header.bits) {
      case 16:
        put(masked(load_little<std::uint16_t>(from + 2 * x)));
        break;
      case 24:
        put(Color{std::to_integer<std::uint8_t>(from[3 * x + 2]),
                  std::to_integer<std::uint8_t>(from[3 * x + 1]),
                  std::to_integer<std::uint8_t>(from[3 * x])});
        break;
      case 32:
        put(masked(load_little<std::uint32_t>(from + 4 * x)));
        break;
      default: {  // 1, 4 or 8: the first pixel is in the high bits.
        const std::int64_t bit = x * header.bits;
        const auto byte = std::to_integer<unsigned>(from[bit / 8]);
        put(palette[(byte >> (8 - header.bits - bit % 8)) & ((1u << header.bits) - 1u)]);
      }
    }
  }
}

}  // namespace

Image decode_bmp(const Source& source) {
  const BmpHeader header = parse_header(source);
  const auto size = static_cast<std::int64_t>(source.bytes.size());
  const std::int64_t pixel_bytes = header.row_bytes() * header.height;
  if (header.pixels_offset < header.palette_offset) refuse(source, "corrupt BMP (pixel offset)");
  if (header.pixels_offset > size || pixel_bytes > size - header.pixels_offset) {
    refuse(source, "truncated BMP ({} bytes of pixels; {}x{} at {} bits needs {})",
           std::max<std::int64_t>(size - header.pixels_offset, 0), header.width, header.height,
           header.bits, pixel_bytes);
  }
  const std::array<Color, 256> palette = read_palette(source, header);
  Image image = make_image(header.width, header.height, 3);
  std::uint8_t* to = image.pixels.data();
  for (std::int64_t y = 0; y < header.height; ++y) {
    const std::int64_t row = header.top_down ? y : header.height - 1 - y;
    const std::byte* from = source.bytes.data() + header.pixels_offset + row * header.row_bytes();
    read_row(header, palette, from,
             [&to](const Color& color) { to = std::copy(color.begin(), color.end(), to); });
  }
  return image;
}

}  // namespace prs::image
