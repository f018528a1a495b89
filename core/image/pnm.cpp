// PNM, the netpbm family: P1/P4 bitmap, P2/P5 gray, P3/P6 colour; P1 to P3 in decimal text.
//
//   file   = "P" digit, space, width, space, height, [space, maxval], one whitespace byte, pixels
//   space  = whitespace and comments ("#" to the end of the line)
//
// Samples are scaled from 0..maxval to 0..255; above 255 they take two bytes, the high one first.
#include <algorithm>
#include <cstring>

#include "image/bytes.hpp"
#include "image/codec.hpp"

namespace prs::image {
namespace {

constexpr std::int64_t kLargestNumber = 1'000'000'000;

class PnmReader {
 public:
  explicit PnmReader(const Source& source) : source_(source), rest_(source.bytes.subspan(2)) {}

  /// A decimal number after optional space.
  std::int64_t number() {
    skip_space();
    if (rest_.empty()) refuse_truncated();
    std::int64_t value = 0;
    bool digits = false;
    for (; !rest_.empty() && is_digit(front()); drop(1)) {
      value = std::min(value * 10 + (front() - '0'), kLargestNumber);
      digits = true;
    }
    if (!digits) refuse(source_, "corrupt PNM (expected a number)");
    return value;
  }

  /// A single digit of a text bitmap, where space between digits is optional.
  std::int64_t bit() {
    skip_space();
    if (rest_.empty()) refuse_truncated();
    const char digit = front();
    if (digit != '0' && digit != '1') refuse(source_, "corrupt PNM (expected 0 or 1)");
    drop(1);
    return digit - '0';
  }

  /// The one whitespace byte between the header and binary pixels.
  void end_header() {
    if (rest_.empty()) refuse_truncated();
    if (!is_space(front())) refuse(source_, "corrupt PNM (no space after the header)");
    drop(1);
  }

  /// The next `size` bytes.
  const std::byte* take(std::int64_t size) {
    if (size > left()) refuse_truncated();
    const std::byte* data = rest_.data();
    drop(size);
    return data;
  }

  std::int64_t left() const { return static_cast<std::int64_t>(rest_.size()); }
  [[noreturn]] void refuse_truncated() const { refuse(source_, "truncated PNM"); }

 private:
  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
  char front() const { return static_cast<char>(rest_.front()); }
  void drop(std::int64_t count) { rest_ = rest_.subspan(static_cast<std::size_t>(count)); }
  void skip_space() {
    bool comment = false;
    for (; !rest_.empty(); drop(1)) {
      const char c = front();
      if (c == '#') comment = true;
      if (!comment && !is_space(c)) return;
      if (c == '\n' || c == '\r') comment = false;
    }
  }

  const Source& source_;
  std::span<const std::byte> rest_;
};

/// P4: rows of bits, padded to bytes, the high bit first; 1 is black.
void read_packed_bits(PnmReader& reader, Image& image) {
  const std::int64_t row_bytes = (image.width + 7) / 8;
  const std::byte* from = reader.take(row_bytes * image.height);
  std::uint8_t* to = image.pixels.data();
  for (std::int64_t y = 0; y < image.height; ++y, from += row_bytes) {
    for (std::int64_t x = 0; x < image.width; ++x) {
      const auto bits = std::to_integer<unsigned>(from[x / 8]);
      *to++ = ((bits >> (7 - x % 8)) & 1u) != 0 ? 0 : 255;
    }
  }
}

}  // namespace

Image decode_pnm(const Source& source) {
  const char kind = static_cast<char>(source.bytes[1]);
  const bool bitmap = kind == '1' || kind == '4';
  const bool text = kind <= '3';
  PnmReader reader(source);
  const std::int64_t width = reader.number();
  const std::int64_t height = reader.number();
  const std::int64_t max_value = bitmap ? 1 : reader.number();
  check_extents(source, width, height);
  if (max_value < 1 || max_value > 65535) {
    refuse(source, "corrupt PNM (maxval {}; expected 1 to 65535)", max_value);
  }
  reader.end_header();
  const std::int64_t channels = kind == '3' || kind == '6' ? 3 : 1;
  const std::int64_t samples = width * height * channels;
  const std::int64_t sample_bytes = max_value > 255 ? 2 : 1;
  const std::int64_t least_bytes = kind == '4' ? (width + 7) / 8 * height
                                   : text      ? samples
                                               : samples * sample_bytes;
  if (reader.left() < least_bytes) reader.refuse_truncated();

  Image image = make_image(width, height, channels);
  if (kind == '4') {
    read_packed_bits(reader, image);
    return image;
  }
  const std::byte* from = text ? nullptr : reader.take(samples * sample_bytes);
  if (!text && max_value == 255) {
    std::memcpy(image.pixels.data(), from, image.pixels.size());
    return image;
  }
  const auto next = [&]() -> std::int64_t {
    if (bitmap) return 1 - reader.bit();
    if (text) return reader.number();
    const std::byte* at = from;
    from += sample_bytes;
    return sample_bytes == 2 ? load_big<std::uint16_t>(at) : std::to_integer<std::int64_t>(*at);
  };
  for (std::uint8_t& pixel : image.pixels) {
    const std::int64_t value = next();
    if (value > max_value) {
      refuse(source, "corrupt PNM (sample {} above the maxval {})", value, max_value);
    }
    pixel = static_cast<std::uint8_t>((value * 255 + max_value / 2) / max_value);
  }
  return image;
}

}  // namespace prs::image
