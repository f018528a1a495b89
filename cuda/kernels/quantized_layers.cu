// The layers of 8-bit integers (byte_tile.hpp).
//
// dot: Gemm of few rows (dot.hpp).
// mma: products on tensor cores (mma.hpp). Conv's rows are output positions of all images, its
// columns filters, k the taps of all channels; nobody writes that matrix down. direct: one thread
// an output, for groups of few filters, whose tiles would be mostly empty.
#include "kernels/byte_tile.hpp"
#include "kernels/dot.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

template <int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_u8s8_mma(QuantizedGemmArgs args) {
  gemm_bytes<MmaProducts<MmaTile<ElementU8S8, kRows, kColumns>>>(args);
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
      std::uint32_t x[4];
      ByteRows{args, row0}.run(row, run * 4, x);
      PRS_UNROLL
      for (int i = 0; i < 4; ++i) sums[row] = dot_u8s8(x[i], weights[i], sums[row]);
    }
  }

  PRS_DEVICE void store(std::int64_t row, std::int64_t column, std::int32_t sum) const {
    store_requantized(args.out, row * args.n + column, channel_end(args.out, column), sum);
  }
};

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256, 2) gemm_u8s8_dot(QuantizedDotArgs args) {
  dot_tile(args.dot, args.gemm.m, args.gemm.n, [&](std::int64_t row0, int rows) {
    return ByteProducts{args.gemm, row0, rows};
  });
}

template <int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_u8s8_mma(QuantizedConvArgs args) {
  conv_bytes<MmaProducts<MmaTile<ElementU8S8, kRows, kColumns>>>(args);
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
    store_requantized(args.out, i, channel_end(args.out, filter), sum);
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
