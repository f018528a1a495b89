// Elementwise operators: one thread an element, in strides of the whole grid, so that neighbouring
// threads touch neighbouring elements. Bound by memory.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) unary_f32(UnaryArgs args) {
  Epilogue function = args.function;
  if (args.low != nullptr) function.alpha = *args.low;
  if (args.high != nullptr) function.beta = *args.high;
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    args.y[i] = apply(function, args.x[i]);
  }
}

PRS_DEVICE float combine(BinaryFunction function, float a, float b) {
  switch (function) {
    case BinaryFunction::kAdd:
      return a + b;
    case BinaryFunction::kSub:
      return a - b;
    case BinaryFunction::kMul:
      return a * b;
    case BinaryFunction::kDiv:
      return a / b;
    case BinaryFunction::kMax:
      return larger(a, b);
    case BinaryFunction::kMin:
      return smaller(a, b);
  }
  return a;
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) binary_f32(BinaryArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    std::int64_t at[2];
    offsets_at(args.loops, i, at);
    args.y[i] = apply(args.epilogue, combine(args.function, args.a[at[0]], args.b[at[1]]));
  }
}

template <typename X>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) normalize(NormalizeArgs args) {
  const X* x = static_cast<const X*>(args.x);
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t c = i / args.inner % args.channels;
    args.y[i] = fmaf(args.scale[c], static_cast<float>(x[i]), args.bias[c]);
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) batch_norm_f32(BatchNormArgs args) {
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t c = i / args.inner % args.channels;
    // In double: a tiny variance makes the factor large, and the mean cancels.
    const double factor =
        static_cast<double>(args.scale[c]) /
        sqrt(static_cast<double>(args.variance[c]) + static_cast<double>(args.epsilon));
    const double centred = static_cast<double>(args.x[i]) - static_cast<double>(args.mean[c]);
    args.y[i] = static_cast<float>(centred * factor + static_cast<double>(args.bias[c]));
  }
}

}  // namespace

void add_elementwise_kernels(KernelTable& table) {
  add(table, KernelId::kUnary, unary_f32);
  add(table, KernelId::kBinary, binary_f32);
  add(table, KernelId::kNormalizeU8, normalize<std::uint8_t>);
  add(table, KernelId::kNormalizeF32, normalize<float>);
  add(table, KernelId::kBatchNorm, batch_norm_f32);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
