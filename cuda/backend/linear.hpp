// What the plans of Gemm and Conv share, those of f32 and those of 8-bit integers.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/plan.hpp"

namespace prs::cuda {

/// Blocks along the grid's axes: x takes many, y and z 65,535; kernels stride along z only. Throws
/// unsupported when x or y takes more.
Dim3 tile_grid(std::int64_t x, std::int64_t y, std::int64_t z);

/// How many of them cover the extent.
std::int64_t tiles(std::int64_t extent, std::int64_t tile);

struct MmaTileExtents {
  std::int64_t rows, columns;
};

/// Of the tensor-core kernels' two tiles: the narrow one wastes less where few columns are left
/// over.
MmaTileExtents mma_tile(std::int64_t columns);

/// Filters of a block of f32's implicit GEMM, which has 64 positions: few where a group has no
/// more, or where that puts idle multiprocessors to work. (Each block gathers the windows for
/// itself.)
std::int64_t conv_tile_filters(std::int64_t positions, std::int64_t filters, std::int64_t groups,
                               const DeviceLimits& limits);

/// Filters of a group below which most of a tensor-core kernel's tile would be zeros.
inline constexpr std::int64_t kFewestMmaFilters = 4;

struct ConvGeometry {
  ConvArgs args{};  ///< Extents and axes; no addresses, no epilogue.
  std::vector<Tap> taps;
};

/// Of a call with x and w as its first inputs. Throws unsupported.
ConvGeometry conv_geometry(const Call& call, const ConvParams& params);

}  // namespace prs::cuda
