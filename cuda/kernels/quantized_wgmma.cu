// The layers of 8-bit integers as quantized_layers.cu has them, by wgmma: compute capability 9.0
// alone.
#include "kernels/byte_tile.hpp"
#include "kernels/families.hpp"
#include "kernels/wgmma.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// Shared: wgmma_shared_bytes() for kWgmmaGatherBuffers, as of the next.
template <int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) gemm_u8s8_wgmma(QuantizedGemmArgs args) {
  gemm_bytes<WgmmaProducts<WgmmaTile<WgmmaU8S8, kColumns>>>(args);
}

template <int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_u8s8_wgmma(QuantizedConvArgs args) {
  conv_bytes<WgmmaProducts<WgmmaTile<WgmmaU8S8, kColumns>>>(args);
}

}  // namespace

void add_quantized_wgmma_kernels(KernelTable& table) {
  add(table, KernelId::kGemmU8S8Wgmma64, gemm_u8s8_wgmma<64>);
  add(table, KernelId::kGemmU8S8Wgmma128, gemm_u8s8_wgmma<128>);
  add(table, KernelId::kGemmU8S8Wgmma256, gemm_u8s8_wgmma<256>);
  add(table, KernelId::kConvU8S8Wgmma64, conv_u8s8_wgmma<64>);
  add(table, KernelId::kConvU8S8Wgmma128, conv_u8s8_wgmma<128>);
  add(table, KernelId::kConvU8S8Wgmma256, conv_u8s8_wgmma<256>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
