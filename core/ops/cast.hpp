// Cast's conversion, for whoever needs a value in another element type.
#pragma once

#include "prs/tensor.hpp"

namespace prs::ops::cast {

/// Every element of `from` in the element type of `to`, by the rules of Cast. The operands have the
/// same number of elements. Exact and slow: backends have kernels of their own.
void convert(const TensorView& from, const MutableTensorView& to);

}  // namespace prs::ops::cast
