// The records of IDX and NPY files seen as images.
#pragma once

#include <cstdint>
#include <optional>

#include <prs/image.hpp>

namespace prs::entry {

/// Height, width and channels of the records, without pixels; nothing unless they are u8 and
/// [H, W], [H, W, 1], [H, W, 3], [1, H, W] or [3, H, W].
std::optional<Image> image_extents(const RecordFile& file);

/// One record of a file that image_extents() knows.
Image record_image(const RecordFile& file, std::int64_t record);

}  // namespace prs::entry
