// Conv on tensor cores, as a product that nobody writes down: rows are output positions of all
// images, columns filters, k the taps of all channels (mma.hpp).
#include "kernels/families.hpp"
#include "kernels/mma.hpp"
#include "kernels/windows.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// The windows of a tile's output positions. A thread gathers for one of them.
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
};

template <typename Element, int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_mma(ConvMmaArgs args) {
  using Tile = MmaTile<Element, kRows, kColumns>;
  static_assert(256 % kRows == 0, "a thread's elements are all of one row");
  const ConvArgs& conv = args.conv;
  const std::int64_t positions = conv.images * conv.outputs;
  const std::int64_t row0 = static_cast<std::int64_t>(block_x()) * kRows;
  const std::int64_t filter0 = static_cast<std::int64_t>(block_y()) * kColumns;
  const std::int64_t own = row0 + thread_x() % kRows;
  const std::int64_t column_tiles = (conv.filters + kColumns - 1) / kColumns;
  for (std::int64_t group = block_z(); group < conv.groups; group += grid_z()) {
    float sums[Tile::kPairs * 2][4] = {};
    const Windows windows = {conv,
                             window_start(conv, own / conv.outputs, group, own % conv.outputs),
                             own < positions, args.pixels};
    mma_stages<Tile>(static_cast<const typename Tile::T*>(args.packed) +
                         (group * column_tiles + block_y()) * args.stages * kColumns * Tile::kDepth,
                     args.stages, windows, sums);
    PRS_UNROLL
    for (int n = 0; n < Tile::kPairs * 2; ++n) {
      for (int i = 0; i < 4; ++i) {
        const std::int64_t filter = filter0 + Tile::column(n, i);
        if (conv.bias == nullptr || filter >= conv.filters) continue;
        sums[n][i] += conv.bias[group * conv.filters + filter];
      }
      apply_to_all(conv.epilogue, sums[n]);
      for (int i = 0; i < 4; ++i) {
        const std::int64_t position = row0 + Tile::row(i);
        const std::int64_t filter = filter0 + Tile::column(n, i);
        if (position >= positions || filter >= conv.filters) continue;
        conv.y[output_at(conv, position, group * conv.filters + filter)] = sums[n][i];
      }
    }
  }
}

}  // namespace

void add_conv_mma_kernels(KernelTable& table) {
  add(table, KernelId::kConvTf32Wide, conv_mma<ElementTf32, 64, 64>);
  add(table, KernelId::kConvTf32Narrow, conv_mma<ElementTf32, 128, 16>);
  add(table, KernelId::kConvBf16Wide, conv_mma<ElementBf16, 64, 64>);
  add(table, KernelId::kConvBf16Narrow, conv_mma<ElementBf16, 128, 16>);
  add(table, KernelId::kConvF16Wide, conv_mma<ElementF16, 64, 64>);
  add(table, KernelId::kConvF16Narrow, conv_mma<ElementF16, 128, 16>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
