// What QuantizedConv and QuantizedGemm share: from the sums to the outputs.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "ops/op.hpp"
#include "ops/quantize.hpp"

namespace prs::ops::quantized {

/// Most products of a sum: that many of 255 * 128 stay below 2^31.
inline constexpr std::int64_t kMostProducts = 65536;

/// Checks x, weights, and multipliers and offsets of `channels` channels. Throws invalid model.
void check_operands(const InferArgs& args, const Requantization& out, std::int64_t channels,
                    std::int64_t products);

/// The output for one sum; see Requantization. Elements are computed in f32, one operation at a
/// time: all kernels give these bits.
inline float requantize(const Requantization& out, std::int32_t sum, float multiplier,
                        float offset) {
  // Not one expression, which a compiler may fuse into one operation.
  volatile float product = static_cast<float>(sum) * multiplier;
  const float value = product + offset;
  const float raised = value > out.low ? value : out.low;
  const float bounded = raised < out.high ? raised : out.high;
  return out.to == DType::kFloat32 ? bounded : std::nearbyintf(bounded);
}

/// Stores a requantised sum as element i of y.
inline void store(const MutableTensorView& y, std::int64_t i, const Requantization& out,
                  float value) {
  if (out.to == DType::kFloat32) {
    y.as<float>()[i] = value;
  } else {
    quantize::store(y, i, static_cast<std::int32_t>(value) + out.y_zero_point);
  }
}

}  // namespace prs::ops::quantized
