// The register tile of the kernels with an image in each lane: F filters by P positions of sums.
//
//   for f, p:           sums[f][p] = bias[f]
//   for channels, taps: sums[f][p] += weights[channel, tap, f] * x[channel, position p + tap]
//   for f, p:           y[f, p] = activation(sums[f][p]), or pooled[f] = max over p of it
//
// Only for sources of prs_add_isa_sources(), after isa/begin.hpp.
#pragma once

#include <cstdint>

#include "cpu/isa/lanes.hpp"
#include "cpu/isa/tile.hpp"

namespace prs::cpu::PRS_ISA {

/// What becomes of a tile's sums.
enum class LaneTileEnd {
  kStore,     ///< Each position is an output.
  kPool,      ///< All positions make one output of a max pool.
  kPoolMore,  ///< The same, together with what the output holds.
};

struct LaneTile {
  const float* x;
  std::int64_t at;     ///< Where tap 0 of the first position lies in x; may be negative.
  std::int64_t step;   ///< Floats between positions.
  std::int64_t plane;  ///< Floats between channels.
  std::int64_t channels;
  std::int64_t first_tap;  ///< Those of [first_tap, end_tap) are computed.
  std::int64_t end_tap;
  std::int64_t taps;
  const std::int32_t* shifts;  ///< [taps], in floats
  const float* weights;        ///< [channels, taps, kTileRows]
  const float* bias;           ///< [kTileRows]; null: 0
  float* y;
  std::int64_t y_plane;    ///< Floats between filters.
  std::int64_t positions;  ///< 1 to kTileVectors
  std::int64_t filters;    ///< 1 to kTileRows
  LaneTileEnd end;
  Activation activation;
};

void run_lane_tile(const LaneTile& tile);

void winograd(const LaneConvTask& task, const LaneConvOperands& operands);
std::int64_t winograd_scratch(const LaneConvTask& task);
void tile_winograd(const WinogradTask& task, const WinogradOperands& operands);
std::int64_t tile_winograd_scratch(const WinogradTask& task);

}  // namespace prs::cpu::PRS_ISA
