// Gather's index rule, shared by the shape rule, the reference and the backends.
#pragma once

#include <cstdint>

#include "check.hpp"

namespace prs::ops::gather {

/// index in [-extent, extent) -> [0, extent). Throws `code` naming index, axis and extent.
inline std::int64_t normalize_index(std::int64_t index, std::int64_t axis, std::int64_t extent,
                                    ErrorCode code) {
  if (index < -extent || index >= extent) {
    fail(code, "index {} out of range for axis {} of extent {}; expected {}..{}", index, axis,
         extent, -extent, extent - 1);
  }
  return index < 0 ? index + extent : index;
}

}  // namespace prs::ops::gather
