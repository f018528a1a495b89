// Fused multi-layer perceptrons by mma.sync, weights by cp.async: compute capability 8.0 and newer.
#include "kernels/fused/mlp_mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

template <typename ElementType, int kMostColumns>
struct MmaProduct {
  using Element = ElementType;
  static constexpr int kColumns = kMostColumns;
  using Sums = typename Element::Sum[kColumns / 8][4];
  /// Columns between two questions whether the layer has more: enough products for the next loads
  /// to hide behind another warp's.
  static constexpr int kGroup = 32;

  bool computes;

  PRS_DEVICE void multiply(const Shared<std::uint16_t>& slots, int at, int columns, int steps,
                           const FragmentA (&a)[kStageSteps], Sums& sums) const {
    if (!computes) return;
    const int l = static_cast<int>(lane());
    const int row = l / 16 * 8 + l % 8;
    const int chunk = l / 8 % 2;
    PRS_UNROLL
    for (int step = 0; step < kStageSteps; ++step) {
      if (step >= steps) break;
      const int from = at + row * kStageDepth + ((step * 2 + chunk) ^ row % 8) * 8;
      PRS_UNROLL
      for (int column = 0; column < kColumns; column += kGroup) {
        if (column >= columns) break;
        PRS_UNROLL
        for (int pair = column; pair < column + kGroup; pair += 16) {
          std::uint32_t r[4];
          load_matrix_x4(r, slots, from + pair * kStageDepth);
          const FragmentB low = {r[0], r[1]};
          const FragmentB high = {r[2], r[3]};
          Element::multiply(sums[pair / 8], a[step], low);
          Element::multiply(sums[pair / 8 + 1], a[step], high);
        }
      }
    }
  }
};

/// All threads copy, kSlots - 1 stages ahead, and meet at each: then a stage is there, and
/// nobody reads the one before it any more.
template <int kSlots>
class CopiedWeights {
 public:
  const Shared<std::uint16_t> slots;

  PRS_DEVICE static int bytes(const MlpMmaArgs& args) { return kSlots * args.slot * 2; }

  PRS_DEVICE CopiedWeights(const MlpMmaArgs& args, std::int64_t stages)
      : slots(dynamic_shared_1024<std::uint16_t>(0, kSlots * args.slot)),
        cursor_(args),
        slot_(args.slot),
        left_(stages) {}

  PRS_DEVICE void begin() {
    for (int i = 0; i < kSlots - 1; ++i) copy(i);
  }

  PRS_DEVICE int acquire() {
    wait_copies<kSlots - 2>();
    sync_threads();
    copy(at_ == 0 ? kSlots - 1 : at_ - 1);
    const int at = at_ * slot_;
    at_ = at_ == kSlots - 1 ? 0 : at_ + 1;
    return at;
  }
  PRS_DEVICE void release() const {}

 private:
  PRS_DEVICE void copy(int to) {
    if (left_ > 0) {
      const std::uint16_t* from = cursor_.weights();
      const int words = cursor_.words();
      const int step = static_cast<int>(block_dim_x()) * 8;
      for (int i = static_cast<int>(thread_x()) * 8; i < words; i += step) {
        copy_async<16>(slots, to * slot_ + i, from + i);
      }
      cursor_.advance();
      --left_;
    }
    commit_copies();  // An empty group too: acquire() counts them.
  }

  StageCursor cursor_;
  int slot_;           ///< Words.
  int at_ = 0;         ///< The slot of the next stage.
  std::int64_t left_;  ///< To be copied.
};

template <typename Element, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) fused_mlp_mma(MlpMmaArgs args) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800  // Plans give it to no older device.
  fused_mlp<MmaProduct<Element, kColumns>, CopiedWeights<kCopiedSlots>>(args);
#endif
}

}  // namespace

void add_fused_mlp_mma_kernels(KernelTable& table) {
  add(table, KernelId::kMlpBf16Mma128, fused_mlp_mma<ElementBf16, 128>);
  add(table, KernelId::kMlpBf16Mma256, fused_mlp_mma<ElementBf16, 256>);
  add(table, KernelId::kMlpF16Mma128, fused_mlp_mma<ElementF16, 128>);
  add(table, KernelId::kMlpF16Mma256, fused_mlp_mma<ElementF16, 256>);
  add(table, KernelId::kMlpU8S8Mma128, fused_mlp_mma<ElementU8S8, 128>);
  add(table, KernelId::kMlpU8S8Mma256, fused_mlp_mma<ElementU8S8, 256>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
