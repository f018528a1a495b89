// QuantizeLinear and DequantizeLinear: one thread an element. Bound by memory. The arithmetic is
// that of the CPU's kernels, operation by operation, so that both give the same bits.
#include "kernels/families.hpp"
#include "kernels/requantize.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

PRS_DEVICE std::int64_t channel_of(const QuantizeArgs& args, std::int64_t i) {
  return i / args.inner % args.channels;
}

template <typename T>
PRS_DEVICE T zero_point(const QuantizeArgs& args, std::int64_t channel) {
  return args.zero_points == nullptr ? T{0} : static_cast<const T*>(args.zero_points)[channel];
}

/// kLow, kLow + 255: what Y holds. NaN counts as smallest.
template <typename Y, int kLow>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) quantize(QuantizeArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t channel = channel_of(args, i);
    const int zero = zero_point<Y>(args, channel);
    const float x = static_cast<const float*>(args.x)[i];
    const float steps = quantized(x, args.scales[channel], static_cast<float>(kLow - zero),
                                  static_cast<float>(kLow + 255 - zero));
    static_cast<Y*>(args.y)[i] = static_cast<Y>(static_cast<int>(steps) + zero);
  }
}

template <typename X>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) dequantize(QuantizeArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t channel = channel_of(args, i);
    const std::int64_t x = static_cast<const X*>(args.x)[i];
    const std::int64_t steps = x - zero_point<X>(args, channel);
    static_cast<float*>(args.y)[i] =
        multiply_rounded(static_cast<float>(steps), args.scales[channel]);
  }
}

}  // namespace

void add_quantize_kernels(KernelTable& table) {
  add(table, KernelId::kQuantizeI8, quantize<std::int8_t, -128>);
  add(table, KernelId::kQuantizeU8, quantize<std::uint8_t, 0>);
  add(table, KernelId::kDequantizeI8, dequantize<std::int8_t>);
  add(table, KernelId::kDequantizeI32, dequantize<std::int32_t>);
  add(table, KernelId::kDequantizeU8, dequantize<std::uint8_t>);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
