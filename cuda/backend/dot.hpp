// How products of few rows by constant matrices are spread over a device (kernels/dot.hpp).
#pragma once

#include <cstdint>
#include <memory>

#include "backend/packed.hpp"
#include "backend/plan.hpp"

namespace prs::cuda {

/// Whether an [m, n] is for the dot kernels: it has a few rows, or some more and so few columns
/// that the tiles of the others would leave most of the device idle.
bool takes_dot(std::int64_t m, std::int64_t n, const DeviceLimits& limits);

struct DotSpread {
  DotShape shape{};  ///< Without addresses of a run.
  Dim3 grid;
  Scratch scratch;
  std::shared_ptr<const void> memory;  ///< The packed matrix.
};

/// `tensor` seen as `view`, which is one matrix, in the format's precision.
DotSpread spread_dot(const Call& call, std::int64_t m, const Tensor& tensor, const MatrixView& view,
                     PackedFormat format);

/// Columns of a block and blocks that share a column's k, for `bytes` of a column.
struct DotExtents {
  int columns;
  int splits;
};
DotExtents dot_extents(std::int64_t m, std::int64_t n, std::int64_t bytes,
                       const DeviceLimits& limits);

inline void set_scratch(DotShape& shape, const StepArgs& step) {
  shape.partial = step.scratch;
  shape.tickets = step.tickets;
}

}  // namespace prs::cuda
