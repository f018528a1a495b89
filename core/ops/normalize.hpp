// What the shape rule and the backends share about Normalize.
#pragma once

#include <cstdint>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops::normalize {

/// x seen as [outer, channels, inner]; [1, 1, elements] when one scale and one bias serve for all.
struct Extents {
  std::int64_t outer;
  std::int64_t channels;
  std::int64_t inner;
};

/// Throws invalid model when the channel axis is out of range or a vector does not fit it.
Extents extents(const NormalizeParams& params, const Shape& x);

}  // namespace prs::ops::normalize
