#include "images.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace prs::bench {

Images read_images(const std::string& path) {
  std::ifstream input(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(input), {}};
  constexpr std::size_t kHeader = 16;
  const auto word = [&bytes](std::size_t at) {
    std::int64_t value = 0;
    for (std::size_t i = at; i < at + 4; ++i) {
      value = value * 256 + static_cast<unsigned char>(bytes[i]);
    }
    return value;
  };
  if (bytes.size() < kHeader || word(0) != 0x803) {
    throw std::runtime_error(path + ": not an uncompressed IDX file of u8 images");
  }
  Images images{word(4), word(8), word(12), {}};
  if (static_cast<std::int64_t>(bytes.size() - kHeader) != images.count * images.image_size()) {
    throw std::runtime_error(path + ": truncated");
  }
  images.values.reserve(bytes.size() - kHeader);
  std::transform(
      bytes.begin() + kHeader, bytes.end(), std::back_inserter(images.values),
      [](char byte) { return static_cast<float>(static_cast<unsigned char>(byte)) / 255.0F; });
  return images;
}

}  // namespace prs::bench
