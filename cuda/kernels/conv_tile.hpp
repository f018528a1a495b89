// What the tensor-core convolutions share: the walk over tiles of output positions x filters, the
// windows of floats, and where a tile's sums go.
#pragma once

#include "kernels/gemm_tile.hpp"
#include "kernels/windows.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Where a thread's sums go in y: two rows of its tile, the filters of one group.
template <typename Tile>
struct ConvPlaces {
  std::int64_t channel0;  ///< Of all groups' filters, the tile's first.
  int inside;             ///< Columns of the tile that the group has.
  std::int64_t first[2];  ///< Of each row, the tile's first column in y; -1: outside.

  PRS_DEVICE ConvPlaces(const ConvArgs& conv, const Corner& corner, std::int64_t group)
      : channel0(group * conv.filters + corner.column),
        inside(columns_inside<Tile>(corner.column, conv.filters)) {
    PRS_UNROLL
    for (int row = 0; row < 2; ++row) {
      const std::int64_t position = corner.row + Tile::row(2 * row);
      first[row] = position < conv.images * conv.outputs ? output_at(conv, position, channel0) : -1;
    }
  }
};

/// The tiles of this block, one of each group that it takes. A thread gathers for one position:
/// source_of(its window's start, whether there is one); store(places, sums) ends a tile.
template <typename Products, typename SourceOf, typename Store>
PRS_DEVICE void conv_tiles(const ConvArgs& conv, const void* packed, std::int64_t stages,
                           const SourceOf& source_of, const Store& store) {
  using Tile = typename Products::Tile;
  const Corner corner = tile_corner<Tile>();
  const std::int64_t own = corner.row + thread_x() % Tile::rows();
  Products products;
  for (std::int64_t group = block_z(); group < conv.groups; group += grid_z()) {
    typename Tile::Sums sums = {};
    const WindowStart start = window_start(conv, own / conv.outputs, group, own % conv.outputs);
    products.add(tile_stages<Tile>(packed, group, conv.filters, stages), stages,
                 source_of(start, own < conv.images * conv.outputs), sums);
    store(ConvPlaces<Tile>(conv, corner, group), sums);
  }
}

/// The windows of a tile's output positions, of floats or pixels.
struct Windows {
  static constexpr bool kAlongK = false;
  const ConvArgs& args;
  WindowStart start;
  bool inside;
  bool pixels;

  PRS_DEVICE float at(int, std::int64_t k) const {
    if (!inside || k >= args.k) return 0.0F;
    return pixels ? input_at<std::uint8_t>(args, start, args.taps[k])
                  : input_at<float>(args, start, args.taps[k]);
  }
  template <int kCount>
  PRS_DEVICE void run(int row, std::int64_t k, float (&values)[kCount]) const {
    PRS_UNROLL
    for (int i = 0; i < kCount; ++i) values[i] = at(row, k + i);
  }
};

/// Products: MmaProducts or WgmmaProducts.
template <typename Products>
PRS_DEVICE void conv_floats(const ConvMmaArgs& args) {
  using Tile = typename Products::Tile;
  const ConvArgs& conv = args.conv;
  const auto windows = [&](const WindowStart& start, bool inside) {
    return Windows{conv, start, inside, args.pixels};
  };
  const auto store = [&](const ConvPlaces<Tile>& places, typename Tile::Sums& sums) {
    PRS_UNROLL
    for (int n = 0; n < Tile::kTiles; ++n) {
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int column = Tile::column(n, i);
        if (conv.bias == nullptr || column >= places.inside) continue;
        sums[n][i] += conv.bias[places.channel0 + column];
      }
    }
    apply_to_all<Tile::kShortFunctions>(conv.epilogue, sums);
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (places.first[i / 2] < 0) continue;
      float* y = conv.y + places.first[i / 2] + Tile::column(0, i) * conv.outputs;
      PRS_UNROLL
      for (int n = 0; n < Tile::kTiles; ++n) {
        if (Tile::column(n, i) < places.inside) *y = sums[n][i];
        y += 8 * conv.outputs;
      }
    }
  };
  conv_tiles<Products>(conv, args.packed, args.stages, windows, store);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
