// Conv's operands as the shape rule, the reference and the kernels see them.
#pragma once

#include "ops/op.hpp"
#include "ops/window.hpp"

namespace prs::ops::conv {

/// Checks shapes and attributes, not dtypes. Throws invalid model or unsupported.
Window resolve(const ConvParams& params, const Shape& x, const Shape& weights);

}  // namespace prs::ops::conv
