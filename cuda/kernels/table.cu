// The table of all kernels of this world.
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

const KernelTable& kernel_table() {
  static const KernelTable table = [] {
    KernelTable made;
    add_cast_kernels(made);
    add_conv_kernels(made);
    add_conv_mma_kernels(made);
    add_elementwise_kernels(made);
    add_fused_cnn_kernels(made);
    add_fused_cnn_mma_kernels(made);
    add_fused_mlp_kernels(made);
    add_fused_mlp_mma_kernels(made);
#ifdef PRS_CUDA_SM90A
    add_conv_wgmma_kernels(made);
    add_fused_mlp_wgmma_kernels(made);
    add_gemm_wgmma_kernels(made);
    add_peak_wgmma_kernels(made);
    add_quantized_wgmma_kernels(made);
#endif
    add_gemm_kernels(made);
    add_gemm_mma_kernels(made);
    add_movement_kernels(made);
    add_peak_kernels(made);
    add_pool_kernels(made);
    add_quantize_kernels(made);
    add_quantized_layer_kernels(made);
    add_reduce_kernels(made);
    return made;
  }();
  return table;
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
