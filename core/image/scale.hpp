// Colour to gray and back, and other sizes: by OpenCV, whose filters are what people compare with.
#pragma once

#include <cstdint>

#include "prs/image.hpp"

namespace prs::image {

/// The image in 1 channel (gray) or 3 (RGB). May be called from several threads, as all here.
/// Throws kUnavailable when OpenCV is not installed, kInternal for what it refuses.
Image with_channels(Image image, std::int64_t channels);

/// The image in another size, at least 1x1: averages of areas when both extents shrink, else
/// linear. Throws as with_channels.
Image resized(const Image& image, std::int64_t width, std::int64_t height);

}  // namespace prs::image
