// Gemm and MatMul by constant matrices on tensor cores (mma.hpp).
#include "kernels/families.hpp"
#include "kernels/mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

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
};

template <typename Element, int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_mma(GemmMmaArgs args) {
  using Tile = MmaTile<Element, kRows, kColumns>;
  const GemmArgs& gemm = args.gemm;
  const std::int64_t m0 = static_cast<std::int64_t>(block_x()) * kRows;
  const std::int64_t n0 = static_cast<std::int64_t>(block_y()) * kColumns;
  float sums[Tile::kPairs * 2][4] = {};
  const auto* packed = static_cast<const typename Tile::T*>(args.packed);
  mma_stages<Tile>(packed + block_y() * args.stages * kColumns * Tile::kDepth, args.stages,
                   MatrixRows<typename Tile::T>{gemm, m0, args.pixels, args.rounded}, sums);
  PRS_UNROLL
  for (int n = 0; n < Tile::kPairs * 2; ++n) {
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at_m = m0 + Tile::row(i);
      const std::int64_t at_n = n0 + Tile::column(n, i);
      sums[n][i] *= gemm.alpha;
      if (gemm.bias == nullptr || at_m >= gemm.m || at_n >= gemm.n) continue;
      sums[n][i] += gemm.beta * gemm.bias[at_m * gemm.bias_row + at_n * gemm.bias_column];
    }
    apply_to_all(gemm.epilogue, sums[n]);
    for (int i = 0; i < 4; ++i) {
      const std::int64_t at_m = m0 + Tile::row(i);
      const std::int64_t at_n = n0 + Tile::column(n, i);
      if (at_m < gemm.m && at_n < gemm.n) gemm.y[at_m * gemm.n + at_n] = sums[n][i];
    }
  }
}

}  // namespace

void add_gemm_mma_kernels(KernelTable& table) {
  add(table, KernelId::kGemmTf32Wide, gemm_mma<ElementTf32, 64, 64>);
  add(table, KernelId::kGemmTf32Narrow, gemm_mma<ElementTf32, 128, 16>);
  add(table, KernelId::kGemmBf16Wide, gemm_mma<ElementBf16, 64, 64>);
  add(table, KernelId::kGemmBf16Narrow, gemm_mma<ElementBf16, 128, 16>);
  add(table, KernelId::kGemmF16Wide, gemm_mma<ElementF16, 64, 64>);
  add(table, KernelId::kGemmF16Narrow, gemm_mma<ElementF16, 128, 16>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
