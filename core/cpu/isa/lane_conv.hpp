// The convolution with an image in each lane, for an arithmetic A (tile.hpp):
//
//   for output rows:                          (taps above and below the input are left out)
//     for runs of positions:                  kTileVectors, or a pool's window
//       for groups of kTileRows filters:      one register tile
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/lane_tile.hpp"
#include "cpu/isa/lanes.hpp"

namespace prs::cpu::PRS_ISA {

/// The taps [first, end) of one axis that lie inside [0, extent), tap 0 at `start`.
struct TapRange {
  std::int64_t first;
  std::int64_t end;
};

inline TapRange taps_inside(std::int64_t start, std::int64_t taps, std::int64_t dilation,
                            std::int64_t extent) {
  const std::int64_t first = start >= 0 ? 0 : (dilation - 1 - start) / dilation;
  const std::int64_t end = start >= extent ? 0 : (extent - start + dilation - 1) / dilation;
  return {smaller(first, taps), smaller(end, taps)};
}

template <typename A, int F, int P>
void lane_tile(const LaneTile& tile) {
  Vec sums[F][P];
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    const Vec bias = tile.bias == nullptr ? Vec{} : broadcast(tile.bias[f]);
    PRS_UNROLL for (int p = 0; p < P; ++p) sums[f][p] = bias;
  }
  const auto* weights =
      reinterpret_cast<const typename A::Element*>(tile.weights) + tile.first_tap * kTileRows;
  std::int64_t at = tile.at;
  for (std::int64_t c = 0; c < tile.channels; ++c) {
    const typename A::Element* w = weights;
    for (std::int64_t t = tile.first_tap; t < tile.end_tap; ++t) {
      const float* x = tile.x + (at + tile.shifts[t]);
      Vec values[P];
      PRS_UNROLL for (int p = 0; p < P; ++p) values[p] = load(x + p * tile.step);
      PRS_UNROLL for (int f = 0; f < F; ++f) {
        const Vec weight = A::spread(w[f]);
        PRS_UNROLL for (int p = 0; p < P; ++p) A::add_product(sums[f][p], weight, values[p]);
      }
      w += kTileRows;
    }
    weights += tile.taps * kTileRows;
    at += tile.plane;
  }
  activate_tile(sums, tile.activation.kind, tile.activation);
  float* y = tile.y;
  if (tile.end == LaneTileEnd::kStore) {
    PRS_UNROLL for (int f = 0; f < F; ++f) {
      if (f >= tile.filters) return;
      PRS_UNROLL for (int p = 0; p < P; ++p) store(y + p * kLanes, sums[f][p]);
      y += tile.y_plane;
    }
    return;
  }
  PRS_UNROLL for (int f = 0; f < F; ++f) {
    if (f >= tile.filters) return;
    Vec best = sums[f][0];
    PRS_UNROLL for (int p = 1; p < P; ++p) best = larger_or_nan(best, sums[f][p]);
    if (tile.end == LaneTileEnd::kPoolMore) best = larger_or_nan(load(y), best);
    store(y, best);
    y += tile.y_plane;
  }
}

template <typename A>
void run_lane_tile_of(const LaneTile& tile) {
  using Function = void (*)(const LaneTile&);
  // Tiles of an odd number of filters compute one more, of zero weights. A level with fewer filters
  // or positions has its last tile repeated.
#define PRS_LANE_TILES(f)                                            \
  {                                                                  \
    &lane_tile<A, (f < kTileRows ? f : kTileRows), 1>,               \
        &lane_tile<A, (f < kTileRows ? f : kTileRows), 2>,           \
        &lane_tile<A, (f < kTileRows ? f : kTileRows), kTileVectors> \
  }
  static constexpr Function kTiles[4][3] = {PRS_LANE_TILES(2), PRS_LANE_TILES(4), PRS_LANE_TILES(6),
                                            PRS_LANE_TILES(8)};
#undef PRS_LANE_TILES
  kTiles[(tile.filters - 1) / 2][tile.positions - 1](tile);
}

/// A run of outputs of one row.
struct LaneRun {
  std::int64_t row;     ///< Of the convolution's outputs.
  std::int64_t column;  ///< Of the convolution's outputs.
  std::int64_t positions;
};

/// `filters`: the first is a multiple of kTileRows.
template <typename A>
void lane_conv_run(const LaneConvTask& task, const LaneConvOperands& operands, const LaneRun& run,
                   const PartRange& filters) {
  const LaneTensor& in = task.in;
  const LaneTensor& out = task.out;
  const std::int64_t above = run.row * task.stride[0] - task.pad[0];
  const std::int64_t before = in.pad - task.pad[1] + run.column * task.stride[1];
  const TapRange rows = taps_inside(above, task.taps[0], task.dilation[0], in.height);
  LaneTile tile{.x = operands.x,
                .at = (above * in.pitch + before) * kLanes,
                .step = task.stride[1] * kLanes,
                .plane = in.height * in.pitch * kLanes,
                .channels = in.channels,
                .first_tap = rows.first * task.taps[1],
                .end_tap = rows.end * task.taps[1],
                .taps = task.taps[0] * task.taps[1],
                .shifts = operands.shifts,
                .weights = nullptr,
                .bias = nullptr,
                .y = nullptr,
                .y_plane = out.height * out.pitch * kLanes,
                .positions = run.positions,
                .filters = 0,
                .end = LaneTileEnd::kStore,
                .activation = task.activation};
  if (task.pool > 1) {
    tile.end = run.row % task.pool == 0 ? LaneTileEnd::kPool : LaneTileEnd::kPoolMore;
  }
  const std::int64_t column = out.pad + run.column / task.pool;
  float* y = operands.y + (run.row / task.pool * out.pitch + column) * kLanes;
  for (std::int64_t f = filters.first; f < filters.end; f += kTileRows) {
    tile.filters = smaller(filters.end - f, kTileRows);
    tile.weights = operands.weights + f * in.channels * tile.taps;
    tile.bias = operands.bias + f;
    tile.y = y + f * tile.y_plane;
    run_lane_tile_of<A>(tile);
  }
}

template <typename A>
void lane_conv(const LaneConvTask& task, const LaneConvOperands& operands) {
  const std::int64_t columns = task.out.width * task.pool;
  const std::int64_t length = task.pool > 1 ? task.pool : kTileVectors;
  // A part is some of the rows, or where there is one, some of the filters.
  const bool by_rows = task.out.height > 1;
  const PartRange rows = share_of(task.out.height, by_rows ? operands.part : Part{});
  const PartRange filters = tile_rows_of(task.out.channels, by_rows ? Part{} : operands.part);
  for (std::int64_t row = rows.first * task.pool; row < rows.end * task.pool; ++row) {
    for (std::int64_t column = 0; column < columns; column += length) {
      lane_conv_run<A>(task, operands, {row, column, smaller(columns - column, length)}, filters);
    }
  }
}

}  // namespace prs::cpu::PRS_ISA
