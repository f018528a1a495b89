// What the shape rule and the backends share about Softmax and LogSoftmax.
#pragma once

#include <cstdint>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::softmax {

/// x seen as [outer, extent, inner]: every softmax runs over `extent` elements, `inner` apart.
struct Extents {
  std::int64_t outer;
  std::int64_t extent;
  std::int64_t inner;
};

/// A scalar counts as one row of one element; an empty x has no rows. Throws invalid model when the
/// axis is out of range.
Extents extents(const SoftmaxParams& params, const Shape& x);

}  // namespace prs::ops::softmax
