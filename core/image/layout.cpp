// How pixels lie in an input tensor.
#include <algorithm>
#include <array>
#include <cstring>

#include "check.hpp"
#include "image/text.hpp"
#include "prs/image.hpp"

namespace prs {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"nchw", "nhwc", "nhw", "flat"};

}  // namespace

std::string_view layout_name(Layout layout) noexcept {
  return kNames[static_cast<std::size_t>(layout)];
}

Layout parse_layout(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), image::lower_case(name));
  if (found == kNames.end()) {
    fail_argument("unknown layout \"{}\"; expected nchw, nhwc, nhw or flat", name);
  }
  return static_cast<Layout>(found - kNames.begin());
}

void arrange_pixels(const Image& image, Layout layout, std::uint8_t* destination) {
  const std::int64_t plane = image.height * image.width;
  if (static_cast<std::int64_t>(image.pixels.size()) != plane * image.channels) {
    fail_argument("arrange_pixels: {} bytes as {}x{} (width x height) with {} channels",
                  image.pixels.size(), image.width, image.height, image.channels);
  }
  if (layout == Layout::kHw && image.channels != 1) {
    fail_argument("layout nhw holds one channel, the image has {}", image.channels);
  }
  // With one channel every layout has the same order.
  if (layout != Layout::kChw || image.channels == 1) {
    if (!image.pixels.empty()) {
      std::memcpy(destination, image.pixels.data(), image.pixels.size());
    }
    return;
  }
  for (std::int64_t c = 0; c < image.channels; ++c) {
    const std::uint8_t* from = image.pixels.data() + c;
    for (std::int64_t i = 0; i < plane; ++i) *destination++ = from[i * image.channels];
  }
}

}  // namespace prs
