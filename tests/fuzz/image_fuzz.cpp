// decode_image over arbitrary bytes: it decodes or throws prs::Error for bad input, nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "prs/error.hpp"
#include "prs/image.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const std::int64_t channels : {1, 3}) {
    const prs::DecodeOptions options{.channels = channels,
                                     .height = channels == 1 ? 0 : 28,
                                     .width = channels == 1 ? 0 : 28,
                                     .resize = true,
                                     .max_pixels = 1 << 16};
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
