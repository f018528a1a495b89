// What the shape rule and the backends share about Add, Sub, Mul and Div.
#pragma once

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::binary {

/// B's shape, prepared for NumPy broadcasting against A: unchanged, or under legacy broadcasting
/// with ones appended so that its first dimension stands at the legacy axis. Throws invalid model
/// when that axis does not fit.
Shape aligned_shape(const BinaryParams& params, const Shape& a, const Shape& b);

}  // namespace prs::ops::binary
