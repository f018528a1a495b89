// decode_image: recognises the format by its first bytes, lets the format's decoder check and
// decode, then brings the pixels to the channels and size asked for.
#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "image/bytes.hpp"
#include "image/codec.hpp"
#include "image/file.hpp"
#include "image/plain_png.hpp"
#include "image/scale.hpp"
#include "image/text.hpp"

namespace prs {
namespace image {

void check_extents(const Source& source, std::int64_t width, std::int64_t height) {
  if (width < 1 || height < 1) {
    refuse(source, "an image of {}x{} (width x height) pixels", width, height);
  }
  if (width > source.max_pixels / height) {
    refuse(source, "{}x{} (width x height) pixels exceed the limit of {}", width, height,
           source.max_pixels);
  }
}

Image make_image(std::int64_t width, std::int64_t height, std::int64_t channels) {
  Image image{.height = height, .width = width, .channels = channels, .pixels = {}};
  image.pixels.resize(static_cast<std::size_t>(width * height * channels));
  return image;
}

namespace {

// Sizes in bytes up to 16-bit RGBA stay far from overflow, and OpenCV counts rows in int.
constexpr std::int64_t kMostPixels = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kMostFileBytes = std::int64_t{1} << 30;

struct Format {
  std::string_view magic;
  Image (*decode)(const Source&);
};

constexpr std::array kFormats = {
    Format{std::string_view("\x89PNG\r\n\x1a\n", 8), decode_png},
    Format{std::string_view("\xff\xd8\xff", 3), decode_jpeg},
    Format{std::string_view("BM", 2), decode_bmp},
    Format{std::string_view("P1", 2), decode_pnm},
    Format{std::string_view("P2", 2), decode_pnm},
    Format{std::string_view("P3", 2), decode_pnm},
    Format{std::string_view("P4", 2), decode_pnm},
    Format{std::string_view("P5", 2), decode_pnm},
    Format{std::string_view("P6", 2), decode_pnm},
    Format{std::string_view("II*\0", 4), decode_tiff},
    Format{std::string_view("MM\0*", 4), decode_tiff},
    Format{std::string_view("II+\0", 4), decode_tiff},  // BigTIFF
    Format{std::string_view("MM\0+", 4), decode_tiff},
};

constexpr std::array<std::string_view, 10> kExtensions = {".png", ".jpg", ".jpeg", ".bmp", ".pgm",
                                                          ".ppm", ".pbm", ".pnm",  ".tif", ".tiff"};

Image decode_as_stored(const Source& source) {
  if (source.bytes.empty()) refuse(source, "empty file");
  for (const Format& format : kFormats) {
    if (starts_with(source.bytes, format.magic)) return format.decode(source);
  }
  refuse(source, "not an image of a known format (PNG, JPEG, BMP, PGM/PPM, TIFF)");
}

void check_options(const DecodeOptions& options, std::string_view name) {
  if (options.channels != 1 && options.channels != 3) {
    fail_argument("{}: {} channels asked for; expected 1 (gray) or 3 (RGB)", name,
                  options.channels);
  }
  if (options.max_pixels < 1 || options.max_pixels > kMostPixels) {
    fail_argument("{}: a limit of {} pixels; expected 1 to {}", name, options.max_pixels,
                  kMostPixels);
  }
  if (options.height < 0 || options.width < 0 ||
      (options.height > 0 && options.width > options.max_pixels / options.height)) {
    fail_argument("{}: {}x{} (width x height) asked for; expected up to {} pixels", name,
                  options.width, options.height, options.max_pixels);
  }
}

Image decode_and_fit(const Source& source, const DecodeOptions& options) {
  Image image = with_channels(decode_as_stored(source), options.channels);
  const std::int64_t height = options.height > 0 ? options.height : image.height;
  const std::int64_t width = options.width > 0 ? options.width : image.width;
  if (image.height == height && image.width == width) return image;
  if (!options.resize) {
    refuse(source,
           "the image is {}x{} (width x height), the model takes {}x{}; pass --resize to scale it",
           image.width, image.height, width, height);
  }
  check_extents(source, width, height);
  return resized(image, width, height);
}

}  // namespace
}  // namespace image

Image decode_image(std::span<const std::byte> bytes, const DecodeOptions& options,
                   std::string_view name) {
  image::check_options(options, name);
  const image::Source source{.bytes = bytes,
                             .name = name,
                             .max_pixels = options.max_pixels,
                             .gray_suffices = options.channels == 1};
  try {
    return image::decode_and_fit(source, options);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "{}: no memory to decode it", name);
  }
}

Image read_image(const std::filesystem::path& path, const DecodeOptions& options) {
  return decode_image(image::read_file(path, image::kMostFileBytes), options, path.native());
}

struct ImageLoader::State {
  DecodeOptions options;
  Layout layout;
  image::PlainPngDecoder png;
  std::vector<std::byte> file;
};

ImageLoader::ImageLoader(const DecodeOptions& options, Layout layout) {
  image::check_options(options, "ImageLoader");
  if (options.height < 1 || options.width < 1) {
    fail_argument("ImageLoader: a size of {}x{} (width x height); expected at least 1x1",
                  options.width, options.height);
  }
  if (layout == Layout::kHw && options.channels != 1) {
    fail_argument("ImageLoader: layout nhw holds one channel, not {}", options.channels);
  }
  state_ = std::make_unique<State>(State{options, layout, {}, {}});
}

ImageLoader::~ImageLoader() = default;
ImageLoader::ImageLoader(ImageLoader&&) noexcept = default;
ImageLoader& ImageLoader::operator=(ImageLoader&&) noexcept = default;

void ImageLoader::read(const std::string& path, std::uint8_t* destination) {
  decode(image::read_file(path, image::kMostFileBytes, state_->file), path, destination);
}

void ImageLoader::read(const std::string& path, std::uint8_t* destination, Times& times) {
  using Clock = std::chrono::steady_clock;
  const auto seconds = [](Clock::duration duration) {
    return std::chrono::duration<double>(duration).count();
  };
  const Clock::time_point start = Clock::now();
  const auto bytes = image::read_file(path, image::kMostFileBytes, state_->file);
  const Clock::time_point middle = Clock::now();
  times.read_s += seconds(middle - start);
  decode(bytes, path, destination);
  times.decode_s += seconds(Clock::now() - middle);
}

void ImageLoader::decode(std::span<const std::byte> bytes, std::string_view name,
                         std::uint8_t* destination) {
  const DecodeOptions& options = state_->options;
  // With one channel every layout has the same order.
  const bool interleaved = options.channels == 1 || state_->layout != Layout::kChw;
  const std::optional<image::PlainPng> png =
      interleaved ? state_->png.open(bytes) : std::optional<image::PlainPng>();
  const bool fits = png && png->height == options.height && png->width == options.width &&
                    png->channels == options.channels &&
                    png->width <= options.max_pixels / png->height;
  if (fits && state_->png.decode(destination)) return;
  arrange_pixels(decode_image(bytes, options, name), state_->layout, destination);
}

bool is_image_path(const std::filesystem::path& path) {
  const std::string extension = image::lower_case(path.extension().native());
  return std::find(image::kExtensions.begin(), image::kExtensions.end(), extension) !=
         image::kExtensions.end();
}

}  // namespace prs
