// The images as the peers take them: float32, divided by 255 before the clock starts. That step,
// which our own figures include, is free for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace prs::bench {

struct Images {
  std::int64_t count = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<float> values;  // [count, 1, height, width]

  std::int64_t image_size() const { return height * width; }
  const float* image(std::int64_t index) const { return values.data() + index * image_size(); }
};

/// Reads an uncompressed IDX file of u8 images. Throws std::runtime_error.
Images read_images(const std::string& path);

}  // namespace prs::bench
