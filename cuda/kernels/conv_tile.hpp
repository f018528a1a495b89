// What the tensor-core convolutions share: the walk over tiles of output positions x filters, the
// windows of floats, and where a tile's sums go.
#pragma once

#include "kernels/gemm_tile.hpp"
#include "kernels/windows.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Where a thread's sums go in y: two rows of its tile, all of one group's filters.
template <typename Tile>
class ConvPlaces {
 public:
  PRS_DEVICE ConvPlaces(const ConvArgs& conv, const Corner& corner, std::int64_t group)
      : conv_(conv), filter0_(corner.column), channel0_(group * conv.filters) {
    PRS_UNROLL
    for (int i = 0; i < 2; ++i) {
      const std::int64_t position = corner.row + Tile::row(2 * i);
      inside_[i] = position < conv.images * conv.outputs;
      first_[i] = inside_[i] ? output_at(conv, position, channel0_) : 0;
    }
  }

  /// Of all groups' filters: that of element i of accumulator n; -1 past the group's last.
  PRS_DEVICE std::int64_t channel(int n, int i) const {
    const std::int64_t filter = filter0_ + Tile::column(n, i);
    return filter < conv_.filters ? channel0_ + filter : -1;
  }
  /// Its offset in y; -1: outside.
  PRS_DEVICE std::int64_t offset(int n, int i) const {
    const std::int64_t filter = filter0_ + Tile::column(n, i);
    return inside_[i / 2] && filter < conv_.filters ? first_[i / 2] + filter * conv_.outputs : -1;
  }

 private:
  const ConvArgs& conv_;
  std::int64_t filter0_, channel0_;
  std::int64_t first_[2];  ///< Of the group's first filter.
  bool inside_[2];
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
  PRS_DEVICE void run(int row, std::int64_t k, float (&values)[8]) const {
    PRS_UNROLL
    for (int i = 0; i < 8; ++i) values[i] = at(row, k + i);
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
        const std::int64_t channel = places.channel(n, i);
        if (conv.bias != nullptr && channel >= 0) sums[n][i] += conv.bias[channel];
      }
    }
    apply_to_all(conv.epilogue, sums);
    PRS_UNROLL
    for (int n = 0; n < Tile::kTiles; ++n) {
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) {
        const std::int64_t offset = places.offset(n, i);
        if (offset >= 0) conv.y[offset] = sums[n][i];
      }
    }
  };
  conv_tiles<Products>(conv, args.packed, args.stages, windows, store);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
