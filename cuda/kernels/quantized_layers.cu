// The layers of 8-bit integers: u8 x with s8 weights, sums of 32 bits, which are exact, and what
// Requantize makes of them. i8 x is taken as u8 by its sign bit turned over, 128 steps further up;
// zero points, those included, are in the sums' starts.
//
// mma: products on tensor cores (mma.hpp), a word of four bytes of k at a time. Conv's rows are
// output positions of all images, its columns filters, k the taps of all channels; nobody writes
// that matrix down. direct: one thread an output, for groups of few filters, whose tiles would be
// mostly empty.
#include "kernels/conv_tile.hpp"
#include "kernels/families.hpp"
#include "kernels/requantize.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kWord = 4;

/// Stores element i of y, of that channel.
PRS_DEVICE void store_requantized(const Requantize& out, std::int64_t i, std::int64_t channel,
                                  std::int32_t sum) {
  const float value = requantized(sum, out.starts[channel], out.multipliers[channel],
                                  out.offsets[channel], out.low, out.high);
  if (out.to == Element::kF32) {
    static_cast<float*>(out.y)[i] = value;
  } else {
    static_cast<std::uint8_t*>(out.y)[i] =
        static_cast<std::uint8_t>(requantized_steps(value, out.zero_point));
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
};

template <int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_u8s8_mma(QuantizedGemmArgs args) {
  using Products = MmaProducts<MmaTile<ElementU8S8, kRows, kColumns>>;
  using Tile = typename Products::Tile;
  const Corner corner = tile_corner<Tile>();
  typename Tile::Sums sums = {};
  Products().add(tile_stages<Tile>(args.packed, 0, args.n, args.stages), args.stages,
                 ByteRows{args, corner.row}, sums);
  PRS_UNROLL
  for (int n = 0; n < Tile::kTiles; ++n) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at_m = corner.row + Tile::row(i);
      const std::int64_t at_n = corner.column + Tile::column(n, i);
      if (at_m >= args.m || at_n >= args.n) continue;
      store_requantized(args.out, at_m * args.n + at_n, at_n, sums[n][i]);
    }
  }
}

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
};

template <int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_u8s8_mma(QuantizedConvArgs args) {
  using Products = MmaProducts<MmaTile<ElementU8S8, kRows, kColumns>>;
  using Tile = typename Products::Tile;
  const auto windows = [&](const WindowStart& start, bool inside) {
    return ByteWindows{args, start, inside};
  };
  const auto store = [&](const ConvPlaces<Tile>& places, typename Tile::Sums& sums) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) {
      if (places.first(i) < 0) continue;
      PRS_UNROLL
      for (int n = 0; n < Tile::kTiles; ++n) {
        const int column = Tile::column(n, i);
        if (!places.has(column)) continue;
        store_requantized(args.out, places.first(i) + column * args.conv.outputs,
                          places.channel0() + column, sums[n][i]);
      }
    }
  };
  conv_tiles<Products>(args.conv, args.packed, args.stages, windows, store);
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_u8s8_direct(QuantizedConvArgs args) {
  const ConvArgs& conv = args.conv;
  const std::int64_t filters = conv.groups * conv.filters;
  const std::int64_t count = conv.images * filters * conv.outputs;
  for (std::int64_t i = global_thread(); i < count; i += global_threads()) {
    const std::int64_t filter = i / conv.outputs % filters;
    const WindowStart start =
        window_start(conv, i / conv.outputs / filters, filter / conv.filters, i % conv.outputs);
    const auto* weights = static_cast<const std::int8_t*>(args.packed) + filter * conv.k;
    std::int32_t sum = 0;
    for (std::int64_t k = 0; k < conv.k; ++k) {
      const int x = byte_at(args, start, k) ^ static_cast<std::uint8_t>(args.flip);
      sum += x * weights[k];
    }
    store_requantized(args.out, i, filter, sum);
  }
}

}  // namespace

void add_quantized_layer_kernels(KernelTable& table) {
  add(table, KernelId::kGemmU8S8Wide, gemm_u8s8_mma<64, 64>);
  add(table, KernelId::kGemmU8S8Narrow, gemm_u8s8_mma<128, 16>);
  add(table, KernelId::kConvU8S8Wide, conv_u8s8_mma<64, 64>);
  add(table, KernelId::kConvU8S8Narrow, conv_u8s8_mma<128, 16>);
  add(table, KernelId::kConvU8S8Direct, conv_u8s8_direct);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
