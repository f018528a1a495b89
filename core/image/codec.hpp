// The decoders behind decode_image, one for each format. Internal.
//
// Each takes an untrusted file that begins with its format's magic bytes and returns one channel
// (gray) or three (RGB), 8 bits each, at the file's own size. Each throws invalid argument,
// beginning with the source's name, for a file that is truncated, corrupt or too large; sizes are
// checked before pixels are allocated or decoded. None prints, keeps state or touches globals, so
// all may run on any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "check.hpp"
#include "prs/image.hpp"

namespace prs::image {

/// An image file in memory, with what its decoder has to know.
struct Source {
  std::span<const std::byte> bytes;
  std::string_view name;  ///< Begins every message.
  std::int64_t max_pixels = 0;
  bool gray_suffices = false;  ///< A decoder that can give luma more cheaply than RGB may do so.
};

/// Throws Error{invalid argument, "<name>: <what>"}.
template <typename... Args>
[[noreturn]] void refuse(const Source& source, fmt::format_string<Args...> format, Args&&... args) {
  fail_argument("{}: {}", source.name, fmt::format(format, std::forward<Args>(args)...));
}

/// Refuses an empty image, and one of more than max_pixels.
void check_extents(const Source& source, std::int64_t width, std::int64_t height);

/// A zeroed image; the caller has checked the extents.
Image make_image(std::int64_t width, std::int64_t height, std::int64_t channels);

Image decode_png(const Source& source);
/// What decode_png() leaves to libpng; gives the same for every file.
Image decode_png_by_libpng(const Source& source);
Image decode_jpeg(const Source& source);
Image decode_bmp(const Source& source);
Image decode_pnm(const Source& source);
Image decode_tiff(const Source& source);

}  // namespace prs::image
