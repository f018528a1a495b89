// Conv on tensor cores, as a product that nobody writes down: rows are output positions of all
// images, columns filters, k the taps of all channels (mma.hpp).
#include "kernels/conv_tile.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

template <typename Element, int kRows, int kColumns>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) conv_mma(ConvMmaArgs args) {
  conv_floats<MmaProducts<MmaTile<Element, kRows, kColumns>>>(args);
}
}  // namespace

void add_conv_mma_kernels(KernelTable& table) {
  add(table, KernelId::kConvTf32Wide, conv_mma<ElementTf32, 64, 64>);
  add(table, KernelId::kConvTf32Narrow, conv_mma<ElementTf32, 128, 16>);
  add(table, KernelId::kConvBf16Wide, conv_mma<ElementBf16, 64, 64>);
  add(table, KernelId::kConvBf16Narrow, conv_mma<ElementBf16, 128, 16>);
  add(table, KernelId::kConvF16Wide, conv_mma<ElementF16, 64, 64>);
  add(table, KernelId::kConvF16Narrow, conv_mma<ElementF16, 128, 16>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
