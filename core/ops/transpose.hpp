// Transpose's permutation, shared by the shape rule, the reference and the backends.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/params.hpp"

namespace prs::ops::transpose {

/// The axis of the input for each axis of the result. Throws invalid model unless the parameters
/// name a permutation of that rank.
std::vector<std::int64_t> permutation(const TransposeParams& params, std::int64_t rank);

}  // namespace prs::ops::transpose
