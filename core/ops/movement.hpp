// What the operators that only move elements share: lists of axes, visiting and copying elements.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops {

/// Coordinates of one element; only the first rank of them count.
using Index = std::array<std::int64_t, Shape::kMaxRank>;

/// Calls body(position, index) for every element of `shape` in row-major order.
template <typename Body>
void for_each_index(const Shape& shape, Body&& body) {
  Index index{};
  const std::int64_t count = shape.elements();
  for (std::int64_t position = 0; position < count; ++position) {
    body(position, index);
    for (std::int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
      auto& i = index[static_cast<std::size_t>(axis)];
      if (++i < shape[axis]) break;
      i = 0;
    }
  }
}

/// The row-major position of the element at `index`.
inline std::int64_t position_of(const Shape& shape, const Index& index) {
  std::int64_t position = 0;
  for (std::int64_t axis = 0; axis < shape.rank(); ++axis) {
    position = position * shape[axis] + index[static_cast<std::size_t>(axis)];
  }
  return position;
}

/// Element `i` of `to` becomes element `j` of `from`; both have the same element type.
inline void copy_element(const MutableTensorView& to, std::int64_t i, const TensorView& from,
                         std::int64_t j) {
  const std::int64_t size = dtype_size(to.dtype);
  std::memcpy(to.as<std::byte>() + i * size, from.as<std::byte>() + j * size,
              static_cast<std::size_t>(size));
}

/// All elements in order; the operands may differ in shape, not in count or element type.
inline void copy_elements(const MutableTensorView& to, const TensorView& from) {
  const std::int64_t count = to.shape.elements();
  for (std::int64_t i = 0; i < count; ++i) copy_element(to, i, from, i);
}

/// a + b for two extents or paddings; throws invalid model when that overflows.
inline std::int64_t add_extents(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) fail_model("an extent of {} + {} is too large", a, b);
  return sum;
}

/// Each axis in [-rank, rank) -> [0, rank). Throws invalid model for others and for duplicates.
inline std::vector<std::int64_t> normalize_axes(std::span<const std::int64_t> axes,
                                                std::int64_t rank) {
  std::array<bool, Shape::kMaxRank> seen{};
  std::vector<std::int64_t> result;
  for (const std::int64_t axis : axes) {
    const std::int64_t normal = normalize_axis(axis, rank);
    if (seen[static_cast<std::size_t>(normal)]) {
      fail_model("axis {} is listed twice in the axes; each may appear once", normal);
    }
    seen[static_cast<std::size_t>(normal)] = true;
    result.push_back(normal);
  }
  return result;
}

/// The contents of the integer input i; empty when it is absent.
inline std::optional<std::vector<std::int64_t>> find_ints(const InferArgs& args, std::size_t i,
                                                          std::string_view what) {
  if (!args.has(i)) return std::nullopt;
  return to_ints(args.value(i), what);
}
inline std::optional<std::vector<std::int64_t>> find_ints(const ReferenceArgs& args, std::size_t i,
                                                          std::string_view what) {
  if (!args.has(i)) return std::nullopt;
  return to_ints(args.inputs[i], what);
}

}  // namespace prs::ops
