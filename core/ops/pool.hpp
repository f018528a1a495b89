// The pools' window as the shape rule, the reference and the kernels see it.
#pragma once

#include "ops/op.hpp"
#include "ops/window.hpp"

namespace prs::ops::pool {

/// Throws invalid model or unsupported.
Window resolve(const PoolParams& params, const Shape& x);

}  // namespace prs::ops::pool
