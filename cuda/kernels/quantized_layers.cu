// The layers of 8-bit integers: u8 x with s8 weights, sums of 32 bits, which are exact, and what
// Requantize makes of them. i8 x is taken as u8 by its sign bit turned over, 128 steps further up;
// zero points, those included, are in the sums' starts.
//
// dot: Gemm of few rows (dot.hpp).
// mma: products on tensor cores (mma.hpp), a word of four bytes of k at a time. Conv's rows are
// output positions of all images, its columns filters, k the taps of all channels; nobody writes
// that matrix down. direct: one thread an output, for groups of few filters, whose tiles would be
// mostly empty.
#include "kernels/dot.hpp"
#include "kernels/families.hpp"
#include "kernels/mma.hpp"
#include "kernels/windows.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

constexpr int kWord = 4;

/// Stores element i of y, of that channel. As the CPU has it, operation by operation; NaN becomes
/// the lower bound.
PRS_DEVICE void store_requantized(const Requantize& out, std::int64_t i, std::int64_t channel,
                                  std::int32_t sum) {
  const float product =
      multiply_rounded(static_cast<float>(sum + out.starts[channel]), out.multipliers[channel]);
  const float value = add_rounded(product, out.offsets[channel]);
  const float raised = value > out.low ? value : out.low;
  const float bounded = raised < out.high ? raised : out.high;
  if (out.to == Element::kF32) {
    static_cast<float*>(out.y)[i] = bounded;
    return;
  }
  // The low byte is the number, whether y is u8 or i8.
  const int steps = static_cast<int>(round_to_even(bounded)) + out.zero_point;
  static_cast<std::uint8_t*>(out.y)[i] = static_cast<std::uint8_t>(steps);
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
  using Tile = MmaTile<ElementU8S8, kRows, kColumns>;
  const std::int64_t m0 = static_cast<std::int64_t>(block_x()) * kRows;
  const std::int64_t n0 = static_cast<std::int64_t>(block_y()) * kColumns;
  std::int32_t sums[Tile::kPairs * 2][4] = {};
  const auto* packed = static_cast<const typename Tile::T*>(args.packed);
  mma_stages<Tile>(packed + block_y() * args.stages * kColumns * Tile::kDepth, args.stages,
                   ByteRows{args, m0}, sums);
  PRS_UNROLL
  for (int n = 0; n < Tile::kPairs * 2; ++n) {
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at_m = m0 + Tile::row(i);
      const std::int64_t at_n = n0 + Tile::column(n, i);
      if (at_m >= args.m || at_n >= args.n) continue;
      store_requantized(args.out, at_m * args.n + at_n, at_n, sums[n][i]);
    }
  }
}

struct ByteProducts {
  using Sum = std::int32_t;
  const QuantizedGemmArgs& args;
  std::int64_t row0;
  int rows;

  PRS_DEVICE void add(const std::uint32_t (&weights)[4], std::int64_t run,
                      std::int32_t (&sums)[kDotRows]) const {
    PRS_UNROLL
    for (int row = 0; row < kDotRows; ++row) {
      if (row >= rows) continue;
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) {
        sums[row] = dot_u8s8(ByteRows{args, row0}.at(row, run * 4 + i), weights[i], sums[row]);
      }
    }
  }

  PRS_DEVICE void store(std::int64_t row, std::int64_t column, std::int32_t sum) const {
    store_requantized(args.out, row * args.n + column, column, sum);
  }
};

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256, 2) gemm_u8s8_dot(QuantizedDotArgs args) {
  dot_tile(args.dot, args.gemm.m, args.gemm.n, [&](std::int64_t row0, int rows) {
    return ByteProducts{args.gemm, row0, rows};
  });
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
  using Tile = MmaTile<ElementU8S8, kRows, kColumns>;
  static_assert(256 % kRows == 0, "a thread's elements are all of one row");
  const ConvArgs& conv = args.conv;
  const std::int64_t positions = conv.images * conv.outputs;
  const std::int64_t row0 = static_cast<std::int64_t>(block_x()) * kRows;
  const std::int64_t filter0 = static_cast<std::int64_t>(block_y()) * kColumns;
  const std::int64_t own = row0 + thread_x() % kRows;
  const std::int64_t column_tiles = (conv.filters + kColumns - 1) / kColumns;
  for (std::int64_t group = block_z(); group < conv.groups; group += grid_z()) {
    std::int32_t sums[Tile::kPairs * 2][4] = {};
    const ByteWindows windows = {
        args, window_start(conv, own / conv.outputs, group, own % conv.outputs), own < positions};
    mma_stages<Tile>(static_cast<const typename Tile::T*>(args.packed) +
                         (group * column_tiles + block_y()) * args.stages * kColumns * Tile::kDepth,
                     args.stages, windows, sums);
    PRS_UNROLL
    for (int n = 0; n < Tile::kPairs * 2; ++n) {
      for (int i = 0; i < 4; ++i) {
        const std::int64_t position = row0 + Tile::row(i);
        const std::int64_t filter = filter0 + Tile::column(n, i);
        if (position >= positions || filter >= conv.filters) continue;
        const std::int64_t channel = group * conv.filters + filter;
        store_requantized(args.out, output_at(conv, position, channel), channel, sums[n][i]);
      }
    }
  }
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
  add(table, KernelId::kGemmU8S8Dot, gemm_u8s8_dot);
  add(table, KernelId::kGemmU8S8Wide, gemm_u8s8_mma<64, 64>);
  add(table, KernelId::kGemmU8S8Narrow, gemm_u8s8_mma<128, 16>);
  add(table, KernelId::kConvU8S8Wide, conv_u8s8_mma<64, 64>);
  add(table, KernelId::kConvU8S8Narrow, conv_u8s8_mma<128, 16>);
  add(table, KernelId::kConvU8S8Direct, conv_u8s8_direct);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
