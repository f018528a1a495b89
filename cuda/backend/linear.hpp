// What the plans of Gemm and Conv share, those of f32 and those of 8-bit integers.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/plan.hpp"

namespace prs::cuda {

/// Blocks along the grid's axes, as many as the device takes; kernels stride along z only. Throws
/// unsupported when x or y takes more.
Dim3 tile_grid(const Call& call, std::int64_t x, std::int64_t y, std::int64_t z);

/// How many of them cover the extent.
std::int64_t tiles(std::int64_t extent, std::int64_t tile);

/// Of the narrow tile by mma.sync.
inline constexpr std::int64_t kNarrowColumns = 16;

/// A tensor-core kernel's tile.
struct TensorTile {
  std::int64_t rows, columns;
  bool wgmma = false;  ///< Else by mma.sync.
  std::int64_t buffers = 0;

  unsigned threads() const { return wgmma ? static_cast<unsigned>(2 * rows) : kThreads; }
  /// Dynamic.
  std::int64_t shared_bytes() const {
    return wgmma ? wgmma_shared_bytes(rows, columns, buffers) : 0;
  }
  /// Of the kernels for 64, 128 and 256 columns, which follow one another.
  KernelId of_columns(KernelId columns64) const {
    return static_cast<KernelId>(static_cast<int>(columns64) + static_cast<int>(columns / 128));
  }
};

/// For y of groups x [rows, columns]; `buffers`: stages of A that a wgmma kernel keeps.
TensorTile tensor_tile(const Call& call, std::int64_t groups, std::int64_t rows,
                       std::int64_t columns, std::int64_t buffers = kWgmmaGatherBuffers);

/// Filters of a group below which most of a tensor-core kernel's tile would be zeros.
inline constexpr std::int64_t kFewestMmaFilters = 4;

struct ConvGeometry {
  ConvArgs args{};  ///< Extents and axes; no addresses, no epilogue.
  std::vector<Tap> taps;
};

/// Of a call with x and w as its first inputs. Throws unsupported.
ConvGeometry conv_geometry(const Call& call, const ConvParams& params);

}  // namespace prs::cuda
