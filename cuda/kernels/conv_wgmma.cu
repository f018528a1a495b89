// Conv as conv_mma.cu has it, by wgmma: compute capability 9.0 alone.
#include "kernels/conv_tile.hpp"
#include "kernels/families.hpp"
#include "kernels/wgmma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// Shared: wgmma_shared_bytes() for kWgmmaGatherBuffers.
template <typename Element, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_wgmma(ConvMmaArgs args) {
  conv_floats<WgmmaProducts<WgmmaTile<Element, kColumns>>>(args);
}

}  // namespace

void add_conv_wgmma_kernels(KernelTable& table) {
  add(table, KernelId::kConvBf16Wgmma64, conv_wgmma<WgmmaBf16, 64>);
  add(table, KernelId::kConvBf16Wgmma128, conv_wgmma<WgmmaBf16, 128>);
  add(table, KernelId::kConvBf16Wgmma256, conv_wgmma<WgmmaBf16, 256>);
  add(table, KernelId::kConvF16Wgmma64, conv_wgmma<WgmmaF16, 64>);
  add(table, KernelId::kConvF16Wgmma128, conv_wgmma<WgmmaF16, 128>);
  add(table, KernelId::kConvF16Wgmma256, conv_wgmma<WgmmaF16, 256>);
  add(table, KernelId::kConvTf32Wgmma64, conv_wgmma<WgmmaTf32, 64>);
  add(table, KernelId::kConvTf32Wgmma128, conv_wgmma<WgmmaTf32, 128>);
  add(table, KernelId::kConvTf32Wgmma256, conv_wgmma<WgmmaTf32, 256>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
