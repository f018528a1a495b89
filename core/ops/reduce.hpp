// What the shape rule and the backends share about ReduceMean, ReduceSum, ReduceMax and ReduceMin.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::reduce {

/// Bit i: axis i is reduced.
using AxisSet = std::uint32_t;

/// The axes to reduce; `input` is the contents of input 1, empty when that is absent. Throws
/// invalid model when an axis is out of range.
AxisSet reduced_axes(const ReduceParams& params, std::int64_t rank,
                     const std::optional<std::vector<std::int64_t>>& input);

/// x's shape with the reduced axes set to 1, or dropped.
Shape reduced_shape(const Shape& x, AxisSet axes, bool keepdims);

}  // namespace prs::ops::reduce
