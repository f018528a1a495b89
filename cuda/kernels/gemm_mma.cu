// Gemm and MatMul by constant matrices on tensor cores (mma.hpp).
#include "kernels/families.hpp"
#include "kernels/gemm_tile.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

template <typename Element, int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_mma(GemmMmaArgs args) {
  gemm_tile<MmaProducts<MmaTile<Element, kRows, kColumns>>>(args);
}

/// A is of the kernel's own type, dense, and its rows are whole runs of 16 bytes: both operands
/// come by cp.async into a ring of stages, so that three are on their way while one is multiplied.
/// (With A through registers there is one, which does not hide the way from device memory.)
template <typename Element>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_mma_ring(GemmMmaArgs args) {
  using Tile = MmaTile<Element, 64, 64>;
  using T = typename Tile::T;
  constexpr int kRing = 4;
  constexpr int kStage = 64 * Tile::kPitch;
  static_assert(64 * Tile::kDepth == 256 * 8, "a thread copies a run of A and one of B");
  PRS_SHARED(T, s_a, kRing * kStage);  // [kRing, row, k]
  PRS_SHARED(T, s_b, kRing * kStage);  // [kRing, column, k]
  const GemmArgs& gemm = args.gemm;
  const Corner corner = tile_corner<Tile>();
  const int row = static_cast<int>(thread_x()) / 4;
  const int run = static_cast<int>(thread_x()) % 4 * 8;
  // Rows past the last compute what nobody stores.
  const std::int64_t m = corner.row + row < gemm.m ? corner.row + row : gemm.m - 1;
  const T* a = static_cast<const T*>(gemm.a) + m * gemm.k + run;
  const T* b = static_cast<const T*>(args.packed) +
               (block_y() * args.stages * 64 + row) * Tile::kDepth + run;
  const auto copy = [&](std::int64_t stage) {
    const int to = static_cast<int>(stage % kRing) * kStage + row * Tile::kPitch + run;
    if (stage * Tile::kDepth + run < gemm.k) {
      copy_async<16>(s_a, to, a + stage * Tile::kDepth);
    } else {
      for (int i = 0; i < 8; ++i) s_a.store(to + i, Element::of(0.0F));
    }
    copy_async<16>(s_b, to, b + stage * 64 * Tile::kDepth);
  };
  for (std::int64_t stage = 0; stage < kRing - 1; ++stage) {
    if (stage < args.stages) copy(stage);
    commit_copies();
  }
  const int warp = static_cast<int>(thread_x() / kWarpSize);
  typename Tile::Sums sums = {};
  for (std::int64_t stage = 0; stage < args.stages; ++stage) {
    wait_copies<kRing - 2>();
    // Also: everybody is done with the stage before, whose place the next copy takes.
    sync_threads();
    if (stage + kRing - 1 < args.stages) copy(stage + kRing - 1);
    commit_copies();
    const int at = static_cast<int>(stage % kRing) * kStage;
    multiply_stage<Tile>(s_a, at + warp % Tile::kWarpRows * 16 * Tile::kPitch, s_b,
                         at + warp / Tile::kWarpRows * Tile::kPairs * 16 * Tile::kPitch, sums);
  }
  store_tile<Tile>(gemm, corner, sums);
}

}  // namespace

void add_gemm_mma_kernels(KernelTable& table) {
  add(table, KernelId::kGemmTf32Wide, gemm_mma<ElementTf32, 64, 64>);
  add(table, KernelId::kGemmTf32Narrow, gemm_mma<ElementTf32, 128, 16>);
  add(table, KernelId::kGemmBf16Wide, gemm_mma<ElementBf16, 64, 64>);
  add(table, KernelId::kGemmBf16Narrow, gemm_mma<ElementBf16, 128, 16>);
  add(table, KernelId::kGemmF16Wide, gemm_mma<ElementF16, 64, 64>);
  add(table, KernelId::kGemmBf16Ring, gemm_mma_ring<ElementBf16>);
  add(table, KernelId::kGemmF16Ring, gemm_mma_ring<ElementF16>);
  add(table, KernelId::kGemmF16Narrow, gemm_mma<ElementF16, 128, 16>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
