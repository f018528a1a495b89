// decode_image over arbitrary bytes: it decodes or throws prs::Error for bad input, nothing else;
// and what the quick way takes for PNG, libpng takes too, with the same pixels.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <span>
#include <vector>

#include "image/codec.hpp"
#include "image/plain_png.hpp"
#include "prs/error.hpp"
#include "prs/image.hpp"

namespace {

constexpr std::int64_t kMaxPixels = 1 << 16;

void compare_png_decoders(std::span<const std::byte> bytes) {
  static prs::image::PlainPngDecoder decoder;
  const std::optional<prs::image::PlainPng> png = decoder.open(bytes);
  if (!png || png->width > kMaxPixels / png->height) return;
  std::vector<std::uint8_t> pixels(
      static_cast<std::size_t>(png->width * png->height * png->channels));
  if (!decoder.decode(pixels.data())) return;
  const prs::image::Source source{.bytes = bytes, .name = "fuzz", .max_pixels = kMaxPixels};
  try {
    if (prs::image::decode_png_by_libpng(source).pixels != pixels) std::abort();
  } catch (const prs::Error&) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  compare_png_decoders(bytes);
  for (const std::int64_t channels : {1, 3}) {
    const prs::DecodeOptions options{.channels = channels,
                                     .height = channels == 1 ? 0 : 28,
                                     .width = channels == 1 ? 0 : 28,
                                     .resize = true,
                                     .max_pixels = kMaxPixels};
    try {
      const prs::Image image = prs::decode_image(bytes, options, "fuzz");
      const std::int64_t expected = image.height * image.width * image.channels;
      if (static_cast<std::int64_t>(image.pixels.size()) != expected) std::abort();
    } catch (const prs::Error& error) {
      if (error.code() != prs::ErrorCode::kInvalidArgument) std::abort();
    }
  }
  return 0;
}
