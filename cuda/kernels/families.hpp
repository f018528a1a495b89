// The kernel families: each .cu adds its kernels to the table of its world.
#pragma once

#include "device/device.hpp"
#include "kernels/table.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

void add_cast_kernels(KernelTable& table);
void add_conv_kernels(KernelTable& table);
void add_conv_mma_kernels(KernelTable& table);
void add_conv_wgmma_kernels(KernelTable& table);
void add_elementwise_kernels(KernelTable& table);
void add_fused_cnn_kernels(KernelTable& table);
void add_fused_cnn_mma_kernels(KernelTable& table);
void add_fused_mlp_kernels(KernelTable& table);
void add_fused_mlp_mma_kernels(KernelTable& table);
void add_fused_mlp_wgmma_kernels(KernelTable& table);
void add_gemm_kernels(KernelTable& table);
void add_gemm_mma_kernels(KernelTable& table);
void add_gemm_wgmma_kernels(KernelTable& table);
void add_movement_kernels(KernelTable& table);
void add_peak_kernels(KernelTable& table);
void add_peak_wgmma_kernels(KernelTable& table);
void add_pool_kernels(KernelTable& table);
void add_quantize_kernels(KernelTable& table);
void add_quantized_layer_kernels(KernelTable& table);
void add_quantized_wgmma_kernels(KernelTable& table);
void add_reduce_kernels(KernelTable& table);

}  // namespace prs::cuda::PRS_CUDA_WORLD
