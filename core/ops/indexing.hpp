// Element offsets for references that walk tensors of different shapes side by side.
#pragma once

#include <cstdint>
#include <span>

#include "prs/tensor.hpp"

namespace prs::ops {

/// The offset, under `strides`, of the element that is number `index` of `shape` in row-major
/// order.
inline std::int64_t offset_at(std::int64_t index, const Shape& shape,
                              std::span<const std::int64_t> strides) {
  std::int64_t offset = 0;
  for (std::int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
    offset += index % shape[axis] * strides[static_cast<std::size_t>(axis)];
    index /= shape[axis];
  }
  return offset;
}

}  // namespace prs::ops
