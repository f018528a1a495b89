// PNG through libpng: chunk order, checksums and the amount of pixel data are libpng's to check.
// Usual files that are whole do not come so far (plain_png.hpp).
//
// libpng is called directly because the error and warning callbacks are the only place where it
// tells damaged pixel data apart from a complete image. Its errors jump past our frames, so the
// functions below that run under setjmp own nothing.
#include <png.h>

#include <array>
#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "image/codec.hpp"
#include "image/plain_png.hpp"

namespace prs::image {
namespace {

constexpr char kTruncated[] = "truncated PNG (no IEND chunk)";

/// A libpng reader over bytes in memory. Address-stable: libpng keeps pointers to it.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> bytes) : rest_(bytes) {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, this, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      fail(ErrorCode::kOutOfMemory, "cannot allocate a PNG reader");
    }
    png_set_read_fn(png_, this, on_read);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  /// Reads up to the pixels. False: see message().
  bool read_header() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // Colour profiles, gamma and texts do not matter here; not parsing them is quicker and safer.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_read_info(png_, info_);
    return true;
  }

  /// Reads the pixels as 8-bit gray or RGB and then the rest of the file. False: see message().
  bool read_pixels(png_bytep* rows) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    png_read_image(png_, rows);
    png_read_end(png_, nullptr);
    return !pixels_damaged_;
  }

  /// Asks for 8-bit gray or RGB. False: see message().
  bool convert_to_8_bits() {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    const int color_type = png_get_color_type(png_, info_);
    if (png_get_bit_depth(png_, info_) == 16) png_set_scale_16(png_);
    if (color_type == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(png_);
    if (color_type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_alpha(png_);
    png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    return true;
  }

  std::int64_t width() const { return png_get_image_width(png_, info_); }
  std::int64_t height() const { return png_get_image_height(png_, info_); }
  std::int64_t channels() const { return png_get_channels(png_, info_); }
  std::int64_t row_bytes() const {
    return static_cast<std::int64_t>(png_get_rowbytes(png_, info_));
  }
  std::string_view message() const { return message_.data(); }

 private:
  void keep_message(png_const_charp text) {
    std::snprintf(message_.data(), message_.size(), "%s", text);
  }

  static void on_error(png_structp png, png_const_charp text) {
    static_cast<PngReader*>(png_get_error_ptr(png))->keep_message(text);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp png, png_const_charp text) {
    // What libpng warns of in other chunks (a palette nobody uses, say) leaves the pixels whole.
    if (std::strncmp(text, "IDAT: ", 6) != 0) return;
    auto* reader = static_cast<PngReader*>(png_get_error_ptr(png));
    reader->keep_message(text);
    reader->pixels_damaged_ = true;
  }
  static void on_read(png_structp png, png_bytep destination, std::size_t size) {
    auto& rest = static_cast<PngReader*>(png_get_io_ptr(png))->rest_;
    if (size > rest.size()) png_error(png, kTruncated);
    std::memcpy(destination, rest.data(), size);
    rest = rest.subspan(size);
  }

  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
  std::span<const std::byte> rest_;
  std::array<char, 160> message_{};
  bool pixels_damaged_ = false;
};

[[noreturn]] void refuse_png(const Source& source, const PngReader& reader) {
  if (reader.message() == kTruncated) refuse(source, "{}", kTruncated);
  refuse(source, "corrupt PNG ({})", reader.message());
}

/// Nothing when the file is for libpng.
std::optional<Image> decode_plain_png(const Source& source) {
  PlainPngDecoder decoder;
  const std::optional<PlainPng> png = decoder.open(source.bytes);
  if (!png) return std::nullopt;
  check_extents(source, png->width, png->height);
  // More than deflate can have shrunk to so few bytes: not worth the memory.
  if (png->width * png->height / 1032 > static_cast<std::int64_t>(source.bytes.size())) {
    return std::nullopt;
  }
  Image image = make_image(png->width, png->height, png->channels);
  if (!decoder.decode(image.pixels.data())) return std::nullopt;
  return image;
}

}  // namespace

Image decode_png(const Source& source) {
  if (std::optional<Image> image = decode_plain_png(source)) return *std::move(image);
  return decode_png_by_libpng(source);
}

Image decode_png_by_libpng(const Source& source) {
  PngReader reader(source.bytes);
  if (!reader.read_header()) refuse_png(source, reader);
  check_extents(source, reader.width(), reader.height());
  // Deflate shrinks at most 1032-fold; a header that promises more is not worth the memory.
  if (reader.row_bytes() * reader.height() / 1032 >
      static_cast<std::int64_t>(source.bytes.size())) {
    refuse(source, "truncated PNG ({} bytes cannot hold {}x{} pixels)", source.bytes.size(),
           reader.width(), reader.height());
  }
  if (!reader.convert_to_8_bits()) refuse_png(source, reader);
  Image image = make_image(reader.width(), reader.height(), reader.channels());
  PRS_CHECK(reader.row_bytes() == image.width * image.channels);
  std::vector<png_bytep> rows;
  rows.reserve(static_cast<std::size_t>(image.height));
  for (std::int64_t y = 0; y < image.height; ++y) {
    rows.push_back(image.pixels.data() + y * reader.row_bytes());
  }
  if (!reader.read_pixels(rows.data())) refuse_png(source, reader);
  return image;
}

}  // namespace prs::image

namespace prs {

std::vector<std::byte> encode_png(const Image& image) {
  const bool fits = image.height > 0 && image.width > 0 && image.height <= PNG_UINT_31_MAX &&
                    image.width <= PNG_UINT_31_MAX && (image.channels == 1 || image.channels == 3);
  if (!fits || static_cast<std::int64_t>(image.pixels.size()) !=
                   image.height * image.width * image.channels) {
    fail_argument(
        "encode_png: {} bytes as {}x{} (width x height) with {} channels; expected 1 or 3 "
        "channels and one byte for each",
        image.pixels.size(), image.width, image.height, image.channels);
  }
  png_image header{};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::vector<std::byte> file(size);
  if (png_image_write_to_memory(&header, file.data(), &size, 0, image.pixels.data(), 0, nullptr) ==
      0) {
    fail(ErrorCode::kOutOfMemory, "encode_png: {}", header.message);
  }
  file.resize(size);
  return file;
}

}  // namespace prs
