// How QuantizeLinear and DequantizeLinear read their operands.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

#include "ops/op.hpp"

namespace prs::ops::quantize {

inline constexpr DType kQuantized[] = {DType::kUint8, DType::kInt8};

/// x seen as [outer, channels, inner], each channel with a scale of its own.
struct Extents {
  std::int64_t outer;
  std::int64_t channels;
  std::int64_t inner;
};

/// Throws invalid model when scale (or zero point, when there is one) does not fit x.
Extents resolve(const QuantizeParams& params, const Shape& x, const Shape& scale,
                const Shape* zero_point);

/// The values that such a type holds.
struct Range {
  std::int32_t low;
  std::int32_t high;
};
inline Range range(DType dtype) { return dtype == DType::kInt8 ? Range{-128, 127} : Range{0, 255}; }

/// x / scale, rounded to nearest even, plus the zero point, at the nearest number in range; NaN
/// counts as smallest. The division and the rounding are those of f32.
inline std::int32_t quantize(float x, float scale, std::int32_t zero_point, Range range) {
  const float rounded = std::nearbyintf(x / scale);
  const auto low = static_cast<float>(range.low - zero_point);
  const auto high = static_cast<float>(range.high - zero_point);
  const float raised = rounded > low ? rounded : low;
  return static_cast<std::int32_t>(raised < high ? raised : high) + zero_point;
}

/// One element of an i8 or u8 tensor.
inline std::int32_t element(const TensorView& tensor, std::int64_t i) {
  if (tensor.dtype == DType::kInt8) return tensor.as<std::int8_t>()[i];
  return tensor.as<std::uint8_t>()[i];
}

/// Stores an element of an i8 or u8 tensor, which must be in range.
inline void store(const MutableTensorView& tensor, std::int64_t i, std::int32_t value) {
  if (tensor.dtype == DType::kInt8) {
    tensor.as<std::int8_t>()[i] = static_cast<std::int8_t>(value);
  } else {
    tensor.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(value);
  }
}

}  // namespace prs::ops::quantize
