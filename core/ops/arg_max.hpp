// What the shape rule and the backends share about ArgMax.
#pragma once

#include <cstdint>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::arg_max {

/// x seen as [outer, extent, inner]: every search runs over `extent` elements, `inner` apart.
struct Extents {
  std::int64_t outer;
  std::int64_t extent;
  std::int64_t inner;
};

/// A scalar counts as one element. Throws invalid model when the axis is out of range or empty.
Extents extents(const ArgMaxParams& params, const Shape& x);

}  // namespace prs::ops::arg_max
