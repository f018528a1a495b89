// MaxPool, of f32 and of bytes, and AveragePool: one thread an output; windows overlap in the
// caches.
#include "kernels/common.hpp"
#include "kernels/families.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {
namespace {

/// The input positions of one axis that a window holds: first, first + dilation, ... below end.
struct Span {
  std::int64_t first, end;
};

PRS_DEVICE Span span(const Axis& axis, std::int64_t output) {
  const std::int64_t start = output * axis.stride - axis.pad_begin;
  const std::int64_t skipped = start < 0 ? (-start + axis.dilation - 1) / axis.dilation : 0;
  const std::int64_t end = start + axis.kernel * axis.dilation;
  return {start + skipped * axis.dilation, end < axis.in ? end : axis.in};
}

/// Calls body(offset in the plane, d, h, w) for every element of a window.
template <typename Body>
PRS_DEVICE void for_each_tap(const Axis (&axes)[3], std::int64_t position, const Body& body) {
  const Span width = span(axes[2], position % axes[2].out);
  const Span height = span(axes[1], position / axes[2].out % axes[1].out);
  const Span depth = span(axes[0], position / axes[2].out / axes[1].out);
  for (std::int64_t d = depth.first; d < depth.end; d += axes[0].dilation) {
    for (std::int64_t h = height.first; h < height.end; h += axes[1].dilation) {
      for (std::int64_t w = width.first; w < width.end; w += axes[2].dilation) {
        body((d * axes[1].in + h) * axes[2].in + w, d, h, w);
      }
    }
  }
}

PRS_DEVICE std::int64_t extent(const PoolArgs& args, bool in) {
  std::int64_t product = 1;
  for (const Axis& axis : args.axes) product *= in ? axis.in : axis.out;
  return product;
}

/// The smallest number of a type.
PRS_DEVICE float lowest(float) { return -infinity(); }
PRS_DEVICE std::int8_t lowest(std::int8_t) { return -128; }
PRS_DEVICE std::uint8_t lowest(std::uint8_t) { return 0; }

PRS_DEVICE bool is_nan(float x) { return x != x; }
PRS_DEVICE bool is_nan(int) { return false; }

template <typename T>
PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) max_pool(PoolArgs args) {
  const T* x = static_cast<const T*>(args.x);
  const std::int64_t outputs = extent(args, false);
  const std::int64_t inputs = extent(args, true);
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t plane = i / outputs;
    T best = lowest(T{});
    std::int64_t index = -1;
    for_each_tap(args.axes, i % outputs,
                 [&](std::int64_t at, std::int64_t d, std::int64_t h, std::int64_t w) {
                   const T value = x[plane * inputs + at];
                   const bool wins = value > best || (is_nan(value) && !is_nan(best));
                   if (index >= 0 && !wins) return;
                   best = value;
                   const std::int64_t column = (w * args.axes[1].in + h) * args.axes[0].in + d;
                   index = plane * inputs + (args.column_major ? column : at);
                 });
    static_cast<T*>(args.y)[i] = best;
    if (args.indices != nullptr) args.indices[i] = index;
  }
}

PRS_GLOBAL void PRS_LAUNCH_BOUNDS(256) average_pool_f32(PoolArgs args) {
  const float* x = static_cast<const float*>(args.x);
  const std::int64_t outputs = extent(args, false);
  const std::int64_t inputs = extent(args, true);
  for (std::int64_t i = global_thread(); i < args.count; i += global_threads()) {
    const std::int64_t plane = i / outputs;
    const std::int64_t position = i % outputs;
    float sum = 0.0F;
    for_each_tap(args.axes, position,
                 [&](std::int64_t at, std::int64_t, std::int64_t, std::int64_t) {
                   sum += x[plane * inputs + at];
                 });
    const std::int64_t w = position % args.axes[2].out;
    const std::int64_t h = position / args.axes[2].out % args.axes[1].out;
    const std::int64_t d = position / args.axes[2].out / args.axes[1].out;
    const float* height = args.divisors + args.axes[0].out;
    const float* width = height + args.axes[1].out;
    static_cast<float*>(args.y)[i] = sum / (args.divisors[d] * height[h] * width[w]);
  }
}

}  // namespace

void add_pool_kernels(KernelTable& table) {
  add(table, KernelId::kMaxPoolF32, max_pool<float>);
  add(table, KernelId::kMaxPoolI8, max_pool<std::int8_t>);
  add(table, KernelId::kMaxPoolU8, max_pool<std::uint8_t>);
  add(table, KernelId::kAveragePool, average_pool_f32);
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
