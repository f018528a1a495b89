// From the sums of a layer of 8-bit integers to its outputs, and from floats to integers: the CPU's
// operations one by one, so that all kernels give its bits.
#pragma once

#include "kernels/common.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// The value of a sum without the share of x's zero point.
PRS_DEVICE float scaled(std::int32_t sum, float multiplier, float offset) {
  return add_rounded(multiply_rounded(static_cast<float>(sum), multiplier), offset);
}

/// NaN becomes `low`.
PRS_DEVICE float bounded(float value, float low, float high) {
  const float raised = value > low ? value : low;
  return raised < high ? raised : high;
}

/// The value of prs::Requantization, not rounded yet. `sum` is of x's bytes as u8; `start` takes
/// the share of the zero point from it.
PRS_DEVICE float requantized(std::int32_t sum, std::int32_t start, float multiplier, float offset,
                             float low, float high) {
  return bounded(scaled(sum + start, multiplier, offset), low, high);
}

/// What a quantised output stores of such a value is the low byte of this, whether it is u8 or i8.
PRS_DEVICE std::uint32_t requantized_steps(float value, std::int32_t zero_point) {
  return float_bits(add_rounded(value, kRoundToInteger)) + static_cast<std::uint32_t>(zero_point);
}

/// The same of a value that is not bounded yet: the bounds are one instruction each, which leave
/// open no more than the sign of a zero.
PRS_DEVICE std::uint32_t bounded_steps(float value, float low, float high,
                                       std::int32_t zero_point) {
  return requantized_steps(fminf(fmaxf(value, low), high), zero_point);
}

/// QuantizeLinear of x, the zero point not added yet: an integer. NaN becomes `low`.
PRS_DEVICE float quantized(float x, float scale, float low, float high) {
  return bounded(round_to_even(divide_rounded(x, scale)), low, high);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
