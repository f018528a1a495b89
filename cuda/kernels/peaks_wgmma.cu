// As peaks.cu, the rate of wgmma: A in registers, B in shared memory, which is read all along.
#include "device/hopper.hpp"
#include "device/launch.hpp"
#include "kernels/args.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

struct PeakBf16 {
  using Sum = float;
  PRS_DEVICE static void multiply(float (&d)[32][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_bf16<256>(d, a, b);
  }
};
struct PeakF16 {
  using Sum = float;
  PRS_DEVICE static void multiply(float (&d)[32][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k16_f16<256>(d, a, b);
  }
};
struct PeakU8S8 {
  using Sum = std::int32_t;
  PRS_DEVICE static void multiply(std::int32_t (&d)[32][4], const FragmentA& a, std::uint64_t b) {
    wgmma_m64k32_u8s8<256>(d, a, b);
  }
};

/// Shared: kPeakTileBytes. A round is kPeakSums products of a warpgroup's sums.
template <typename Element>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) peak_wgmma(PeakArgs args) {
  const auto tile = dynamic_shared_1024<std::uint32_t>(0, kPeakTileBytes / 4);
  for (int i = static_cast<int>(thread_x()); i < kPeakTileBytes / 4;
       i += static_cast<int>(kThreads)) {
    tile.store(i, args.operand);
  }
  fence_async();
  sync_threads();
  const FragmentA a = {args.operand, args.operand, args.operand, args.operand};
  typename Element::Sum sums[32][4] = {};
  for (std::int64_t round = 0; round < args.rounds; ++round) {
    warpgroup_fence();
    PRS_UNROLL
    for (int j = 0; j < kPeakSums; ++j) {
      Element::multiply(sums, a, matrix_descriptor(tile, j % 4 * 8));
    }
    warpgroup_commit();
    warpgroup_wait(sums);
  }
  float total = 0.0F;
  PRS_UNROLL
  for (int n = 0; n < 32; ++n) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) total += static_cast<float>(sums[n][i]);
  }
  args.y[global_thread()] = total;
}

}  // namespace

void add_peak_wgmma_kernels(KernelTable& table) {
  add(table, KernelId::kPeakBf16Wgmma, peak_wgmma<PeakBf16>);
  add(table, KernelId::kPeakF16Wgmma, peak_wgmma<PeakF16>);
  add(table, KernelId::kPeakU8S8Wgmma, peak_wgmma<PeakU8S8>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
