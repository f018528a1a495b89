// JPEG through libjpeg-turbo's TurboJPEG interface, which can treat warnings (premature end,
// corrupt entropy data) as errors and keeps its messages to itself.
#include <turbojpeg.h>

#include <limits>
#include <memory>

#include "image/codec.hpp"

namespace prs::image {
namespace {

struct CloseHandle {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, CloseHandle>;

[[noreturn]] void refuse_jpeg(const Source& source, const Handle& handle) {
  refuse(source, "truncated or corrupt JPEG ({})", tjGetErrorStr2(handle.get()));
}

/// Four-channel JPEGs are written inverted (as Adobe does): 255 is no ink.
void convert_inverted_cmyk(const Image& cmyk, Image& rgb) {
  const std::int64_t pixels = rgb.height * rgb.width;
  for (std::int64_t i = 0; i < pixels; ++i) {
    const std::uint8_t* from = cmyk.pixels.data() + i * 4;
    for (std::int64_t c = 0; c < 3; ++c) {
      rgb.pixels[static_cast<std::size_t>(i * 3 + c)] =
          static_cast<std::uint8_t>((from[c] * from[3] + 127) / 255);
    }
  }
}

}  // namespace

Image decode_jpeg(const Source& source) {
  const Handle handle(tjInitDecompress());
  if (handle == nullptr) fail(ErrorCode::kOutOfMemory, "cannot allocate a JPEG reader");
  const auto* data = reinterpret_cast<const unsigned char*>(source.bytes.data());
  const auto size = static_cast<unsigned long>(source.bytes.size());
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colorspace = 0;
  if (tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colorspace) !=
      0) {
    refuse_jpeg(source, handle);
  }
  check_extents(source, width, height);

  const auto decode = [&](TJPF format) {
    // LIMITSCANS: a progressive file may repeat its scans to cost a thousandfold.
    constexpr int kFlags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
    Image image = make_image(width, height, tjPixelSize[format]);
    if (tjDecompress2(handle.get(), data, size, image.pixels.data(), width, 0, height, format,
                      kFlags) != 0) {
      refuse_jpeg(source, handle);
    }
    return image;
  };
  switch (colorspace) {
    case TJCS_CMYK:
    case TJCS_YCCK: {
      const Image cmyk = decode(TJPF_CMYK);
      Image rgb = make_image(width, height, 3);
      convert_inverted_cmyk(cmyk, rgb);
      return rgb;
    }
    case TJCS_GRAY:
      return decode(TJPF_GRAY);
    default:
      return decode(source.gray_suffices ? TJPF_GRAY : TJPF_RGB);
  }
}

}  // namespace prs::image
