// Slice's bounds, shared by the shape rule, the reference and the backends.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/op.hpp"

namespace prs::ops::slice {

/// How one axis is sliced: the result's index i shows the input's index start + i * step, which is
/// within the input for all i < extent. The step is 1 when extent <= 1.
struct AxisSlice {
  std::int64_t start = 0;
  std::int64_t step = 1;
  std::int64_t extent = 0;
};

/// One entry for each axis of the input. Throws invalid model, unsupported.
std::vector<AxisSlice> resolve(const InferArgs& args);
std::vector<AxisSlice> resolve(const ReferenceArgs& args);

}  // namespace prs::ops::slice
