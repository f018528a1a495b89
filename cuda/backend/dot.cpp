#include "backend/dot.hpp"

#include <algorithm>

#include "backend/linear.hpp"

namespace prs::cuda {
namespace {

/// What a block has on its way at once: 16 bytes a load, kDotLoads of them a thread.
constexpr std::int64_t kFlightBytes = std::int64_t{kThreads} * kDotLoads * 16;
/// A block that is the last one of several waits for a fence, an atomic and the others' sums from
/// L2, one after the other: counted, some 1.5 us. That is as long as a multiprocessor takes for
/// about 100 KB: what is shorter is not cut.
constexpr std::int64_t kSplitBytes = 128 << 10;

}  // namespace

bool takes_dot(std::int64_t m, std::int64_t n, const DeviceLimits& limits) {
  // Weights are read again for every kDotRows of rows.
  constexpr std::int64_t kMostRows = 64;
  if (m <= kDotRows) return true;
  return m <= kMostRows && 8 * tiles(n, kWideColumns) <= limits.multiprocessors;
}

DotExtents dot_extents(std::int64_t m, std::int64_t n, std::int64_t bytes,
                       const DeviceLimits& limits) {
  const std::int64_t row_tiles = tiles(m, kDotRows);
  DotExtents extents{kDotColumns, 1};
  while (extents.columns > 1 && row_tiles * tiles(n, extents.columns) < limits.multiprocessors) {
    extents.columns /= 2;
  }
  const std::int64_t of_block = bytes * extents.columns;
  if (of_block >= kSplitBytes) {
    const std::int64_t idle = limits.multiprocessors / (row_tiles * tiles(n, extents.columns));
    extents.splits = static_cast<int>(
        std::clamp<std::int64_t>(of_block / kFlightBytes, 1, std::max<std::int64_t>(idle, 1)));
  }
  return extents;
}

DotSpread spread_dot(const Call& call, std::int64_t m, const Tensor& tensor, const MatrixView& view,
                     PackedFormat format) {
  const std::int64_t tile_columns = view.n <= kNarrowColumns ? kNarrowColumns : kWideColumns;
  const PackedMatrix packed = pack_matrix(call.constants, tensor, view, format, tile_columns);
  const DotExtents extents = dot_extents(m, view.n, packed.stages * kDotWords * 4, call.limits);
  DotSpread spread;
  spread.memory = packed.memory;
  spread.shape.packed = packed.memory.get();
  spread.shape.stages = packed.stages;
  spread.shape.tile_columns = static_cast<int>(tile_columns);
  spread.shape.columns = extents.columns;
  spread.shape.splits = extents.splits;
  const std::int64_t across = tiles(view.n, extents.columns);
  const std::int64_t row_tiles = tiles(m, kDotRows);
  spread.grid = tile_grid(call, across, extents.splits, row_tiles);
  if (extents.splits > 1) {
    spread.scratch.tickets = across * row_tiles;
    spread.scratch.bytes = across * row_tiles * extents.splits * kDotOutputs * 4;
  }
  return spread;
}

}  // namespace prs::cuda
