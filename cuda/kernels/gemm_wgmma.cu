// Gemm and MatMul as gemm_mma.cu has them, by wgmma: compute capability 9.0 alone.
#include "kernels/families.hpp"
#include "kernels/gemm_tile.hpp"
#include "kernels/wgmma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// Shared: wgmma_shared_bytes() for kWgmmaGatherBuffers.
template <typename Element, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_wgmma(GemmMmaArgs args) {
  gemm_tile<WgmmaProducts<WgmmaTile<Element, kColumns>>>(args);
}

/// Dense rows of A of the kernel's own type, whole runs of 16 bytes: by cp.async, three stages
/// ahead. (cp.async.bulk would leave the chunks of a row in their order.)
template <typename Tile>
class CopiedRows {
 public:
  static constexpr int kBuffers = kWgmmaSlots;

  PRS_DEVICE CopiedRows(const GemmArgs& gemm, const Shared<std::uint32_t>& buffers, std::int64_t m0,
                        std::int64_t stages)
      : gemm_(gemm), buffers_(buffers), m0_(m0), stages_(stages) {}

  PRS_DEVICE void begin() {
    for (std::int64_t stage = 0; stage < kBuffers - 1; ++stage) copy(stage);
  }
  PRS_DEVICE void publish(const Shared<std::uint32_t>&, int) const { wait_copies<kBuffers - 2>(); }
  PRS_DEVICE void prepare(std::int64_t stage) { copy(stage + kBuffers - 1); }

 private:
  /// A group of copies, empty past the last stage.
  PRS_DEVICE void copy(std::int64_t stage) {
    if (stage < stages_) {
      const int thread = static_cast<int>(thread_x());
      const int to = static_cast<int>(stage % kBuffers) * Tile::rows() * kRowWords;
      const std::int64_t k = stage * Tile::kDepth + thread % 8 * Tile::kChunk;
      PRS_UNROLL
      for (int j = 0; j < 4; ++j) copy_chunk(to, thread / 8 + j * (Tile::rows() / 4), k);
    }
    commit_copies();
  }
  PRS_DEVICE void copy_chunk(int to, int row, std::int64_t k) const {
    const int at = to + chunk_at(row, static_cast<int>(thread_x()) % 8);
    if (k >= gemm_.k) return store_words(buffers_, at, {0, 0, 0, 0});
    // Rows past the last compute what nobody stores.
    const std::int64_t m = m0_ + row < gemm_.m ? m0_ + row : gemm_.m - 1;
    const auto* from = static_cast<const typename Tile::T*>(gemm_.a) + m * gemm_.k + k;
    copy_async<16>(buffers_, at, static_cast<const std::uint32_t*>(static_cast<const void*>(from)));
  }

  const GemmArgs& gemm_;
  const Shared<std::uint32_t> buffers_;
  std::int64_t m0_, stages_;
};

/// As gemm_mma_ring. Shared: wgmma_shared_bytes() for kWgmmaSlots.
template <typename Element, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_wgmma_ring(GemmMmaArgs args) {
  using Tile = WgmmaTile<Element, kColumns>;
  using Rows = CopiedRows<Tile>;
  const Corner corner = tile_corner<Tile>();
  const int words = Rows::kBuffers * Tile::rows() * kRowWords;
  const auto buffers = dynamic_shared_1024<std::uint32_t>(0, words);
  ColumnStages<Tile> columns(words * 4);
  sync_threads();
  Rows rows(args.gemm, buffers, corner.row, args.stages);
  typename Tile::Sums sums = {};
  wgmma_stages<Tile>(buffers, columns, rows,
                     tile_stages<Tile>(args.packed, 0, args.gemm.n, args.stages), args.stages,
                     sums);
  store_tile<Tile>(args.gemm, corner, sums);
}

}  // namespace

void add_gemm_wgmma_kernels(KernelTable& table) {
  add(table, KernelId::kGemmBf16Wgmma64, gemm_wgmma<WgmmaBf16, 64>);
  add(table, KernelId::kGemmBf16Wgmma128, gemm_wgmma<WgmmaBf16, 128>);
  add(table, KernelId::kGemmBf16Wgmma256, gemm_wgmma<WgmmaBf16, 256>);
  add(table, KernelId::kGemmF16Wgmma64, gemm_wgmma<WgmmaF16, 64>);
  add(table, KernelId::kGemmF16Wgmma128, gemm_wgmma<WgmmaF16, 128>);
  add(table, KernelId::kGemmF16Wgmma256, gemm_wgmma<WgmmaF16, 256>);
  add(table, KernelId::kGemmTf32Wgmma64, gemm_wgmma<WgmmaTf32, 64>);
  add(table, KernelId::kGemmTf32Wgmma128, gemm_wgmma<WgmmaTf32, 128>);
  add(table, KernelId::kGemmTf32Wgmma256, gemm_wgmma<WgmmaTf32, 256>);
  add(table, KernelId::kGemmBf16WgmmaRing64, gemm_wgmma_ring<WgmmaBf16, 64>);
  add(table, KernelId::kGemmBf16WgmmaRing128, gemm_wgmma_ring<WgmmaBf16, 128>);
  add(table, KernelId::kGemmBf16WgmmaRing256, gemm_wgmma_ring<WgmmaBf16, 256>);
  add(table, KernelId::kGemmF16WgmmaRing64, gemm_wgmma_ring<WgmmaF16, 64>);
  add(table, KernelId::kGemmF16WgmmaRing128, gemm_wgmma_ring<WgmmaF16, 128>);
  add(table, KernelId::kGemmF16WgmmaRing256, gemm_wgmma_ring<WgmmaF16, 256>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
