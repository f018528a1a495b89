// Fused multi-layer perceptrons by wgmma, weights by bulk copies: compute capability 9.0 alone.
#include "device/hopper.hpp"
#include "kernels/fused/mlp_mma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

struct Bf16 : ElementBf16 {
  template <int kColumns, int kTiles>
  PRS_DEVICE static void multiply(float (&d)[kTiles][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_bf16<kColumns>(d, a, b);
  }
};
struct F16 : ElementF16 {
  template <int kColumns, int kTiles>
  PRS_DEVICE static void multiply(float (&d)[kTiles][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_f16<kColumns>(d, a, b);
  }
};
struct U8S8 : ElementU8S8 {
  template <int kColumns, int kTiles>
  PRS_DEVICE static void multiply(std::int32_t (&d)[kTiles][4], const FragmentA& a,
                                  std::uint64_t b) {
    wgmma_m64k32_u8s8<kColumns>(d, a, b);
  }
};

template <typename ElementType, int kMostColumns>
struct WgmmaProduct {
  using Element = ElementType;
  static constexpr int kColumns = kMostColumns;
  using Sums = typename Element::Sum[kColumns / 8][4];

  bool computes;  ///< Means nothing: four warps compute together, and a question here would keep
                  ///< the compiler from having several products under way.

  PRS_DEVICE void multiply(const Shared<std::uint16_t>& slots, int at, int columns, int steps,
                           const FragmentA (&a)[kStageSteps], Sums& sums) const {
    switch (columns) {
      case 16:
        return multiply_columns<16>(slots, at, steps, a, sums);
      case 32:
        return multiply_columns<32>(slots, at, steps, a, sums);
      case 64:
        return multiply_columns<64>(slots, at, steps, a, sums);
      case 128:
        return multiply_columns<128>(slots, at, steps, a, sums);
      case 192:
        return multiply_columns<192>(slots, at, steps, a, sums);
      case 256:
        return multiply_columns<256>(slots, at, steps, a, sums);
    }
  }

 private:
  template <int kWidth>
  PRS_DEVICE static void multiply_columns(const Shared<std::uint16_t>& slots, int at, int steps,
                                          const FragmentA (&a)[kStageSteps], Sums& sums) {
    if constexpr (kWidth <= kColumns) {
      if (steps >= kStageSteps) {
        warpgroup_fence();
        PRS_UNROLL
        for (int step = 0; step < kStageSteps; ++step) {
          Element::template multiply<kWidth>(sums, a[step],
                                             matrix_descriptor(slots, at + step * 16));
        }
        warpgroup_commit();
        warpgroup_wait(sums);
        return;
      }
      // The end of a layer. One by one: a question between products that are under way together
      // would keep the compiler from having them so.
      PRS_UNROLL
      for (int step = 0; step < kStageSteps - 1; ++step) {
        if (step >= steps) return;
        warpgroup_fence();
        Element::template multiply<kWidth>(sums, a[step], matrix_descriptor(slots, at + step * 16));
        warpgroup_commit();
        warpgroup_wait(sums);
      }
    }
  }
};

/// Thread 0 starts the copies, kAhead stages ahead. That is one fewer than the ring has room for
/// beside the stage that is read: so the faster of two warpgroups waits for the other only where it
/// is a whole stage ahead, and one multiplies while the other rounds. A warp of its own for the
/// copies would cost all others a third of their registers.
class BulkWeights {
 public:
  const Shared<std::uint16_t> slots;

  PRS_DEVICE static int bytes(const MlpMmaArgs& args) {
    return kBulkSlots * (args.slot * 2 + 2 * static_cast<int>(sizeof(std::uint64_t)));
  }

  PRS_DEVICE BulkWeights(const MlpMmaArgs& args, std::int64_t stages)
      : slots(dynamic_shared_1024<std::uint16_t>(0, kBulkSlots * args.slot)),
        barriers_(dynamic_shared_1024<std::uint64_t>(kBulkSlots * args.slot * 2, 2 * kBulkSlots)),
        cursor_(args),
        slot_(args.slot),
        left_(stages) {
    if (thread_x() == 0) {
      for (int i = 0; i < kBulkSlots; ++i) {
        barrier_init(barriers_, i, 1);
        barrier_init(barriers_, kBulkSlots + i, block_dim_x() / kWarpSize);
      }
      fence_async();
    }
  }

  PRS_DEVICE void begin() {
    for (int i = 0; i < kAhead; ++i) copy(i, 0);
  }

  PRS_DEVICE int acquire() {
    const int to = (at_ + kAhead) % kBulkSlots;
    copy(to, to < at_ ? round_ + 1 : round_);
    barrier_wait(barriers_, at_, round_ % 2);
    return at_ * slot_;
  }
  PRS_DEVICE void release() {
    if (lane() == 0) barrier_arrive(barriers_, kBulkSlots + at_);
    if (++at_ < kBulkSlots) return;
    at_ = 0;
    ++round_;
  }

 private:
  static constexpr int kAhead = kBulkSlots - 2;

  /// The next stage to a slot, which is filled for time number `round`. All threads wait until it
  /// is empty, although one copies: the compiler has products under way together only where it sees
  /// that warps stay whole. A barrier's phase before the first counts as ended.
  PRS_DEVICE void copy(int to, unsigned round) {
    if (left_ == 0) return;
    --left_;
    barrier_wait(barriers_, kBulkSlots + to, (round + 1) % 2);
    if (thread_x() == 0) {
      const unsigned bytes = static_cast<unsigned>(cursor_.words()) * 2;
      barrier_arrive_expecting(barriers_, to, bytes);
      copy_bulk(slots, to * slot_, cursor_.weights(), bytes, barriers_, to);
    }
    cursor_.advance();
  }

  /// Slot i is full when the i-th ends a phase, and empty when number kBulkSlots + i does.
  const Shared<std::uint64_t> barriers_;
  StageCursor cursor_;
  int slot_;            ///< Words.
  int at_ = 0;          ///< The slot of the next stage.
  unsigned round_ = 0;  ///< How often the ring went around.
  std::int64_t left_;   ///< To be copied.
};

template <typename Element, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) fused_mlp_wgmma(MlpMmaArgs args) {
  fused_mlp<WgmmaProduct<Element, kColumns>, BulkWeights>(args);
}

}  // namespace

void add_fused_mlp_wgmma_kernels(KernelTable& table) {
  add(table, KernelId::kMlpBf16Wgmma128, fused_mlp_wgmma<Bf16, 128>);
  add(table, KernelId::kMlpBf16Wgmma256, fused_mlp_wgmma<Bf16, 256>);
  add(table, KernelId::kMlpF16Wgmma128, fused_mlp_wgmma<F16, 128>);
  add(table, KernelId::kMlpF16Wgmma256, fused_mlp_wgmma<F16, 256>);
  add(table, KernelId::kMlpU8S8Wgmma128, fused_mlp_wgmma<U8S8, 128>);
  add(table, KernelId::kMlpU8S8Wgmma256, fused_mlp_wgmma<U8S8, 256>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
