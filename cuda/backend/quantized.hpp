// What the plans of layers of 8-bit integers share, fused or not.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/packed.hpp"

namespace prs::cuda {

/// The zero point of x as the kernels see x: as u8, i8 128 steps further up.
std::int32_t u8_zero_point(DType x, std::int32_t zero_point);

/// What each channel's sum begins with: minus the share of that zero point. For i8 weights.
std::vector<std::int32_t> sum_starts(const Tensor& weights, const MatrixView& view,
                                     std::int32_t zero_point);

}  // namespace prs::cuda
