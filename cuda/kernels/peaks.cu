// The rates of multiplication that a device reaches at most, for measure.cpp: registers in,
// registers out, each warp for itself. What is stored only keeps the compiler from leaving the work
// out.
#include "device/launch.hpp"
#include "kernels/args.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) peak_fma(PeakArgs args) {
  float sums[kPeakSums];
  PRS_UNROLL
  for (int j = 0; j < kPeakSums; ++j) sums[j] = static_cast<float>(j);
  for (std::int64_t round = 0; round < args.rounds; ++round) {
    PRS_UNROLL
    for (int j = 0; j < kPeakSums; ++j) sums[j] = fmaf(sums[j], args.factor, args.factor);
  }
  float total = 0.0F;
  PRS_UNROLL
  for (int j = 0; j < kPeakSums; ++j) total += sums[j];
  args.y[global_thread()] = total;
}

struct PeakBf16 {
  using Sum = float;
  PRS_DEVICE static void multiply(Sum (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k16_bf16(d, a, b);
  }
};
struct PeakF16 {
  using Sum = float;
  PRS_DEVICE static void multiply(Sum (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k16_f16(d, a, b);
  }
};
struct PeakTf32 {
  using Sum = float;
  PRS_DEVICE static void multiply(Sum (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k8_tf32(d, a, b);
  }
};
struct PeakU8S8 {
  using Sum = std::int32_t;
  PRS_DEVICE static void multiply(Sum (&d)[4], const FragmentA& a, const FragmentB& b) {
    mma_m16n8k32_u8s8(d, a, b);
  }
};

template <typename Element>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) peak_mma(PeakArgs args) {
  using Sum = typename Element::Sum;
  const FragmentA a = {args.operand, args.operand, args.operand, args.operand};
  const FragmentB b = {args.operand, args.operand};
  Sum sums[kPeakSums][4];
  PRS_UNROLL
  for (int j = 0; j < kPeakSums; ++j) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) sums[j][i] = static_cast<Sum>(j);
  }
  for (std::int64_t round = 0; round < args.rounds; ++round) {
    PRS_UNROLL
    for (int j = 0; j < kPeakSums; ++j) Element::multiply(sums[j], a, b);
  }
  float total = 0.0F;
  PRS_UNROLL
  for (int j = 0; j < kPeakSums; ++j) {
    PRS_UNROLL
    for (int i = 0; i < 4; ++i) total += static_cast<float>(sums[j][i]);
  }
  args.y[global_thread()] = total;
}

}  // namespace

void add_peak_kernels(KernelTable& table) {
  add(table, KernelId::kPeakBf16, peak_mma<PeakBf16>);
  add(table, KernelId::kPeakF16, peak_mma<PeakF16>);
  add(table, KernelId::kPeakF32, peak_fma);
  add(table, KernelId::kPeakTf32, peak_mma<PeakTf32>);
  add(table, KernelId::kPeakU8S8, peak_mma<PeakU8S8>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
