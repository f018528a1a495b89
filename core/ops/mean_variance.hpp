// How MeanVarianceNormalization splits a tensor; shared by the reference and the CPU kernel.
#pragma once

#include <array>
#include <cstdint>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::mean_variance {

/// Elements with equal indices on the kept axes form one group.
struct Groups {
  std::array<std::int64_t, Shape::kMaxRank> kept_extents{};   ///< 1 on normalised axes.
  std::array<std::int64_t, Shape::kMaxRank> inner_extents{};  ///< 1 on kept axes.
  std::array<std::int64_t, Shape::kMaxRank> strides{};
  std::int64_t rank = 0;
  std::int64_t count = 1;  ///< Groups.
  std::int64_t size = 1;   ///< Elements of each.

  /// The flat index of number `i` in the row-major box `extents`.
  std::int64_t offset(const std::array<std::int64_t, Shape::kMaxRank>& extents,
                      std::int64_t i) const {
    std::int64_t result = 0;
    for (auto axis = static_cast<std::size_t>(rank); axis-- > 0;) {
      result += i % extents[axis] * strides[axis];
      i /= extents[axis];
    }
    return result;
  }
};

/// Throws invalid model for an axis out of range.
Groups split(const MeanVarianceParams& params, const Shape& shape);

/// Added to the standard deviation, as in ONNX's function body.
inline constexpr double kEpsilon = 1e-9;

}  // namespace prs::ops::mean_variance
