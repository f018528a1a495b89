// What the tensor-core layers of 8-bit integers share: u8 x with s8 weights, sums of 32 bits, which
// are exact, and what Requantize makes of them. i8 x is taken as u8 by its sign bit turned over,
// 128 steps further up; zero points, those included, are in the sums' starts. Elements of k are
// words of four bytes.
#pragma once

#include "kernels/conv_tile.hpp"
#include "kernels/requantize.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

inline constexpr int kWord = 4;

/// What a channel's sums become.
struct ChannelEnd {
  std::int32_t start;
  float multiplier, offset;
};
PRS_DEVICE ChannelEnd channel_end(const Requantize& out, std::int64_t channel) {
  return {out.starts[channel], out.multipliers[channel], out.offsets[channel]};
}

/// Stores element i of y.
PRS_DEVICE void store_requantized(const Requantize& out, std::int64_t i, const ChannelEnd& end,
                                  std::int32_t sum) {
  const float value = requantized(sum, end.start, end.multiplier, end.offset, out.low, out.high);
  if (out.to == Element::kF32) {
    static_cast<float*>(out.y)[i] = value;
  } else {
    static_cast<std::uint8_t*>(out.y)[i] =
        static_cast<std::uint8_t>(requantized_steps(value, out.zero_point));
  }
}

/// The sums of a tile: of a thread's two rows, whose first columns are at first[0] and first[1] of
/// y, -1: outside; columns are `step` apart, the first is channel0's, and `inside` of them exist.
template <typename Tile>
PRS_DEVICE void store_bytes(const Requantize& out, const std::int64_t (&first)[2],
                            std::int64_t step, std::int64_t channel0, int inside,
                            const typename Tile::Sums& sums) {
  PRS_UNROLL
  for (int n = 0; n < Tile::kTiles; ++n) {
    PRS_UNROLL
    for (int side = 0; side < 2; ++side) {
      const int column = Tile::column(n, side);
      if (column >= inside) continue;
      const ChannelEnd end = channel_end(out, channel0 + column);
      PRS_UNROLL
      for (int row = 0; row < 2; ++row) {
        if (first[row] < 0) continue;
        store_requantized(out, first[row] + column * step, end, sums[n][2 * row + side]);
      }
    }
  }
}

struct ByteRows {
  static constexpr bool kAlongK = true;
  const QuantizedGemmArgs& args;
  std::int64_t m0;

  PRS_DEVICE std::uint32_t at(int row, std::int64_t word) const {
    const std::int64_t k = word * kWord;
    if (m0 + row >= args.m || k >= args.k) return 0;
    const std::uint8_t* from = args.x + (m0 + row) * args.k + k;
    // Rows begin at whole words then.
    if (args.k % kWord == 0) return load_word(from) ^ args.flip;
    std::uint32_t bytes = 0;
    PRS_UNROLL
    for (int i = 0; i < kWord; ++i) {
      if (k + i < args.k) bytes |= static_cast<std::uint32_t>(from[i]) << (8 * i);
    }
    return bytes ^ args.flip;
  }

  /// Words `word`, a multiple of 4, to word + 3.
  PRS_DEVICE void run(int row, std::int64_t word, std::uint32_t (&words)[4]) const {
    if (args.k % 16 == 0 && m0 + row < args.m && word * kWord < args.k) {
      const std::uint8_t* from = args.x + (m0 + row) * args.k + word * kWord;
      load_words(reinterpret_cast<const std::uint32_t*>(from), words);
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) words[i] ^= args.flip;
    } else {
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) words[i] = at(row, word + i);
    }
  }
};

PRS_DEVICE std::uint8_t byte_at(const QuantizedConvArgs& args, const WindowStart& start,
                                std::int64_t k) {
  const std::int64_t at = input_offset(args.conv, start, args.conv.taps[k]);
  return at < 0 ? args.padding : static_cast<const std::uint8_t*>(args.conv.x)[at];
}

/// The windows of a tile's output positions. A thread gathers for one of them.
struct ByteWindows {
  static constexpr bool kAlongK = false;
  const QuantizedConvArgs& args;
  WindowStart start;
  bool inside;

  PRS_DEVICE std::uint32_t at(int, std::int64_t word) const {
    if (!inside) return 0;
    std::uint32_t bytes = 0;
    PRS_UNROLL
    for (int i = 0; i < kWord; ++i) {
      const std::int64_t k = word * kWord + i;
      if (k < args.conv.k) bytes |= static_cast<std::uint32_t>(byte_at(args, start, k)) << (8 * i);
    }
    return bytes ^ args.flip;
  }
  PRS_DEVICE void run(int row, std::int64_t word, std::uint32_t (&words)[4]) const {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) words[i] = at(row, word + i);
  }
};

/// Products: MmaProducts or WgmmaProducts.
template <typename Products>
PRS_DEVICE void gemm_bytes(const QuantizedGemmArgs& args) {
  using Tile = typename Products::Tile;
  const Corner corner = tile_corner<Tile>();
  typename Tile::Sums sums = {};
  Products products;
  products.add(tile_stages<Tile>(args.packed, 0, args.n, args.stages), args.stages,
               ByteRows{args, corner.row}, sums);
  std::int64_t first[2];
  PRS_UNROLL
  for (int row = 0; row < 2; ++row) {
    const std::int64_t m = corner.row + Tile::row(2 * row);
    first[row] = m < args.m ? m * args.n + corner.column : -1;
  }
  store_bytes<Tile>(args.out, first, 1, corner.column, columns_inside<Tile>(corner.column, args.n),
                    sums);
}
template <typename Products>
PRS_DEVICE void conv_bytes(const QuantizedConvArgs& args) {
  using Tile = typename Products::Tile;
  const auto windows = [&](const WindowStart& start, bool inside) {
    return ByteWindows{args, start, inside};
  };
  const auto store = [&](const ConvPlaces<Tile>& places, typename Tile::Sums& sums) {
    store_bytes<Tile>(args.out, places.first, args.conv.outputs, places.channel0, places.inside,
                      sums);
  };
  conv_tiles<Products>(args.conv, args.packed, args.stages, windows, store);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
