// Pad's geometry, shared by the shape rule, the reference and the backends.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ops/op.hpp"

namespace prs::ops::pad {

/// How one axis is cropped, then padded: `before` new indices, `kept` indices of the input from
/// `first` on, `after` new indices.
struct AxisPad {
  std::int64_t first = 0;
  std::int64_t kept = 0;
  std::int64_t before = 0;
  std::int64_t after = 0;
  std::int64_t extent() const { return before + kept + after; }
};

/// One entry for each axis of the input. Throws invalid model, unsupported.
std::vector<AxisPad> resolve(const InferArgs& args);
std::vector<AxisPad> resolve(const ReferenceArgs& args);

/// The input's index that the result shows at `position`; -1 where that is the constant.
std::int64_t source_index(PadParams::Mode mode, const AxisPad& axis, std::int64_t position);

/// The bytes of the constant that fills when there is no input for it.
std::array<std::byte, 8> default_value(const PadParams& params, DType dtype);

}  // namespace prs::ops::pad
