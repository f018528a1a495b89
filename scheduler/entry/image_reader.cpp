#include "entry/image_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include <prs/error.hpp>

#include "entry/record_images.hpp"

namespace prs::entry {
namespace {

/// A batch of pixels larger than this is split, so that few of them fit in memory at once.
constexpr std::int64_t kMaxBatchBytes = std::int64_t{64} << 20;

/// An image as a PGM or PPM file, which the image reader scales and converts.
std::vector<std::byte> encode_pnm(const Image& image) {
  const std::string header =
      fmt::format("P{}\n{} {}\n255\n", image.channels == 1 ? 5 : 6, image.width, image.height);
  std::vector<std::byte> bytes(header.size() + image.pixels.size());
  std::memcpy(bytes.data(), header.data(), header.size());
  if (!image.pixels.empty()) {
    std::memcpy(bytes.data() + header.size(), image.pixels.data(), image.pixels.size());
  }
  return bytes;
}

}  // namespace

void load_record(const RecordSource& source, std::int64_t record, std::string_view name,
                 ImageLoader& loader, std::uint8_t* destination) {
  loader.decode(encode_pnm(record_image(*source.file, record)), name, destination);
}

RecordSource record_source(const RecordFile& file, const Engine& engine) {
  RecordSource source{file, RecordUse::kDirect, {}};
  try {
    engine.run(file.records(0, 0));
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    source.use = image_extents(file) ? RecordUse::kDecode : RecordUse::kRefuse;
    source.refusal = error.message();
  }
  return source;
}

ImageReader::ImageReader(const ImageInput& input, bool resize, std::int64_t max_pixels)
    : options_{.channels = input.channels,
               .height = input.height,
               .width = input.width,
               .resize = resize,
               .max_pixels = max_pixels},
      layout_(input.layout),
      image_bytes_(std::max<std::int64_t>(1, input.height * input.width * input.channels)) {
  if (input.height > 0 && input.width > max_pixels / input.height) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("max_pixels {}: the model itself takes images of {}x{} = {} pixels; "
                            "allow at least as many",
                            max_pixels, input.width, input.height, input.width * input.height));
  }
}

std::int64_t ImageReader::batch_size(std::int64_t wanted) const {
  return std::clamp<std::int64_t>(kMaxBatchBytes / image_bytes_, 1, wanted);
}

Shape ImageReader::batch_shape(std::int64_t count) const {
  switch (layout_) {
    case Layout::kChw:
      return {count, options_.channels, options_.height, options_.width};
    case Layout::kHwc:
      return {count, options_.height, options_.width, options_.channels};
    case Layout::kHw:
      return {count, options_.height, options_.width};
    case Layout::kFlat:
      break;
  }
  return {count, image_bytes_};
}

}  // namespace prs::entry
