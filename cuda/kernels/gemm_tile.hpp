// What the tensor-core Gemms of floats share: A's rows, and where a tile's sums go.
#pragma once

#include "kernels/mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Rows of A from m0 on, as f32, of pixels or rounded to T already.
template <typename T>
struct MatrixRows {
  static constexpr bool kAlongK = true;
  const GemmArgs& args;
  std::int64_t m0;
  bool pixels;
  bool rounded;

  PRS_DEVICE float at(int row, std::int64_t k) const {
    if (m0 + row >= args.m || k >= args.k) return 0.0F;
    const std::int64_t at = (m0 + row) * args.a_row + k * args.a_column;
    if constexpr (sizeof(T) == 2) {
      if (rounded) return to_float(static_cast<const T*>(args.a)[at]);
    }
    return pixels ? static_cast<float>(static_cast<const std::uint8_t*>(args.a)[at])
                  : static_cast<const float*>(args.a)[at];
  }

  /// Elements k, a multiple of 4 or 8, and as many from it on.
  template <int kCount>
  PRS_DEVICE void run(int row, std::int64_t k, float (&values)[kCount]) const {
    const bool whole = args.a_column == 1 && args.a_row % kCount == 0 && m0 + row < args.m &&
                       k + kCount <= args.k && !rounded;
    const std::int64_t at = (m0 + row) * args.a_row + k;
    if (whole && pixels) {
      PRS_UNROLL
      for (int i = 0; i < kCount; i += 4) {
        const std::uint32_t word = load_word(static_cast<const std::uint8_t*>(args.a) + at + i);
        PRS_UNROLL
        for (int j = 0; j < 4; ++j) values[i + j] = static_cast<float>(word >> (8 * j) & 0xFFu);
      }
    } else if (whole) {
      PRS_UNROLL
      for (int i = 0; i < kCount; i += 4) {
        const Float4 four = load4(static_cast<const float*>(args.a) + at + i);
        values[i] = four.x;
        values[i + 1] = four.y;
        values[i + 2] = four.z;
        values[i + 3] = four.w;
      }
    } else {
      PRS_UNROLL
      for (int i = 0; i < kCount; ++i) values[i] = this->at(row, k + i);
    }
  }
};

/// Where the tile of this block begins in y.
struct Corner {
  std::int64_t row, column;
};
template <typename Tile>
PRS_DEVICE Corner tile_corner() {
  return {static_cast<std::int64_t>(block_x()) * Tile::rows(),
          static_cast<std::int64_t>(block_y()) * Tile::kColumns};
}

/// The stages of this block's column tile, of group number `group`.
template <typename Tile>
PRS_DEVICE const typename Tile::T* tile_stages(const void* packed, std::int64_t group,
                                               std::int64_t columns, std::int64_t stages) {
  const std::int64_t column_tiles = (columns + Tile::kColumns - 1) / Tile::kColumns;
  return static_cast<const typename Tile::T*>(packed) +
         (group * column_tiles + block_y()) * stages * Tile::kColumns * Tile::kDepth;
}

/// How many columns a tile that begins at `column` has of `columns`.
template <typename Tile>
PRS_DEVICE int columns_inside(std::int64_t column, std::int64_t columns) {
  const std::int64_t left = columns - column;
  return static_cast<int>(left < Tile::kColumns ? left : Tile::kColumns);
}

/// Bias and activation of a tile's sums, and what of it lies inside y. Row by row and with columns
/// of 32 bits: of a wide tile, addresses of their own for all sums would not fit the registers.
template <typename Tile>
PRS_DEVICE void store_tile(const GemmArgs& gemm, const Corner& corner, typename Tile::Sums& sums) {
  const int inside = columns_inside<Tile>(corner.column, gemm.n);
  PRS_UNROLL
  for (int i = 0; i < 4; ++i) {
    const std::int64_t m = corner.row + Tile::row(i);
    const float* bias = gemm.bias + m * gemm.bias_row + corner.column * gemm.bias_column;
    const bool biased = gemm.bias != nullptr && m < gemm.m;
    const float of_row = biased && gemm.bias_column == 0 ? gemm.beta * bias[0] : 0.0F;
    const int of_columns = biased && gemm.bias_column != 0 ? inside : 0;
    PRS_UNROLL
    for (int n = 0; n < Tile::kTiles; ++n) {
      const int column = Tile::column(n, i);
      sums[n][i] = sums[n][i] * gemm.alpha + of_row;
      if (column < of_columns) sums[n][i] += gemm.beta * bias[column];
    }
  }
  apply_to_all<Tile::kShortFunctions>(gemm.epilogue, sums);
  PRS_UNROLL
  for (int i = 0; i < 4; ++i) {
    const std::int64_t m = corner.row + Tile::row(i);
    if (m >= gemm.m) continue;
    float* y = gemm.y + m * gemm.n + corner.column;
    PRS_UNROLL
    for (int n = 0; n < Tile::kTiles; ++n) {
      const int column = Tile::column(n, i);
      if (column < inside) y[column] = sums[n][i];
    }
  }
}

/// Products: MmaProducts or WgmmaProducts.
template <typename Products>
PRS_DEVICE void gemm_tile(const GemmMmaArgs& args) {
  using Tile = typename Products::Tile;
  const Corner corner = tile_corner<Tile>();
  typename Tile::Sums sums = {};
  Products products;
  products.add(tile_stages<Tile>(args.packed, 0, args.gemm.n, args.stages), args.stages,
               MatrixRows<typename Tile::T>{args.gemm, corner.row, args.pixels, args.rounded},
               sums);
  store_tile<Tile>(args.gemm, corner, sums);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
