#include "entry/record_images.hpp"

#include <cstring>

namespace prs::entry {

std::optional<Image> image_extents(const RecordFile& file) {
  const Shape& shape = file.record_shape();
  if (file.dtype() != DType::kUint8) return std::nullopt;
  const auto is_channels = [](std::int64_t extent) { return extent == 1 || extent == 3; };
  if (shape.rank() == 2) return Image{shape[0], shape[1], 1, {}};
  if (shape.rank() == 3 && is_channels(shape[2])) return Image{shape[0], shape[1], shape[2], {}};
  if (shape.rank() == 3 && is_channels(shape[0])) return Image{shape[1], shape[2], shape[0], {}};
  return std::nullopt;
}

Image record_image(const RecordFile& file, std::int64_t record) {
  Image image = *image_extents(file);
  const TensorView view = file.records(record, 1);
  const auto* pixels = view.as<std::uint8_t>();
  image.pixels.assign(pixels, pixels + view.bytes());
  const bool planar = image.channels == 3 && file.record_shape()[2] != 3;
  if (planar) {
    const std::int64_t area = image.height * image.width;
    for (std::int64_t i = 0; i < area; ++i) {
      for (std::int64_t c = 0; c < 3; ++c) {
        image.pixels[static_cast<std::size_t>(i * 3 + c)] = pixels[c * area + i];
      }
    }
  }
  return image;
}

}  // namespace prs::entry
