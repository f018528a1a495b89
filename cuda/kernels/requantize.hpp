// From the sums of a layer of 8-bit integers to its outputs: the CPU's operations one by one, so
// that all kernels give its bits.
#pragma once

#include "kernels/common.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The value of prs::Requantization, not rounded yet. `sum` is of x's bytes as u8; `start` takes
/// the share of the zero point from it. NaN becomes `low`.
PRS_DEVICE float requantized(std::int32_t sum, std::int32_t start, float multiplier, float offset,
                             float low, float high) {
  const float product = multiply_rounded(static_cast<float>(sum + start), multiplier);
  const float value = add_rounded(product, offset);
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

/// What a quantised output stores of such a value is the low byte of this, whether it is u8 or i8.
PRS_DEVICE std::uint32_t requantized_steps(float value, std::int32_t zero_point) {
  return float_bits(add_rounded(value, kRoundToInteger)) + static_cast<std::uint32_t>(zero_point);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
