// Plans of Gemm, MatMul and Conv: f32 weights, f32 or u8 input.
#include <algorithm>
#include <array>
#include <limits>

#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/conv.hpp"
#include "ops/gemm.hpp"
#include "ops/matmul.hpp"
#include "ops/support.hpp"

namespace prs::cuda {
namespace {

bool is_u8(const Call& call) { return call.inputs[0].type.dtype == DType::kUint8; }

/// Weights and bias are f32, the input f32 or u8.
void require_dtypes(const Call& call) {
  if (is_u8(call)) {
    require_f32(call, std::array<std::size_t, 2>{1, 2});
  } else {
    require_f32(call, std::array<std::size_t, 3>{0, 1, 2});
  }
}

/// Blocks along the grid's axes: x takes many, y and z 65,535; kernels stride along z only.
Dim3 tile_grid(std::int64_t x, std::int64_t y, std::int64_t z) {
  constexpr std::int64_t kMostX = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t kMost = 65535;
  if (x > kMostX || y > kMost) {
    fail_unsupported("{} x {} tiles on the GPU; at most {} x {}", x, y, kMostX, kMost);
  }
  return {static_cast<unsigned>(x), static_cast<unsigned>(y),
          static_cast<unsigned>(std::min(z, kMost))};
}

std::int64_t tiles(std::int64_t extent, std::int64_t tile) { return (extent + tile - 1) / tile; }

Plan plan_product(const Call& call, const GemmArgs& args) {
  constexpr std::int64_t kTile = 64;
  const KernelId kernel = is_u8(call) ? KernelId::kGemmU8 : KernelId::kGemmF32;
  const std::int64_t count = args.batch * args.m * args.n;
  const Dim3 grid =
      count == 0 ? Dim3{} : tile_grid(tiles(args.m, kTile), tiles(args.n, kTile), args.batch);
  return plan_kernel(kernel, grid, args, count,
                     [has_bias = call.has(2)](GemmArgs& complete, const StepArgs& step) {
                       complete.a = step.inputs[0];
                       complete.b = step.in<float>(1);
                       complete.bias = has_bias ? step.in<float>(2) : nullptr;
                       complete.y = step.out<float>(0);
                     });
}

Axis axis_of(const ops::WindowAxis& axis) {
  return {axis.in, axis.out, axis.kernel, axis.stride, axis.dilation, axis.pad_begin};
}

std::vector<Tap> make_taps(const ops::Window& window, std::int64_t channels) {
  const auto& [depth, height, width] = window;
  for (const ops::WindowAxis& axis : window) {
    if (axis.extent() > std::numeric_limits<std::int32_t>::max()) {
      fail_unsupported("a window of extent {} on the GPU", axis.extent());
    }
  }
  std::vector<Tap> taps;
  for (std::int64_t c = 0; c < channels; ++c) {
    for (std::int64_t q = 0; q < depth.kernel; ++q) {
      for (std::int64_t r = 0; r < height.kernel; ++r) {
        for (std::int64_t s = 0; s < width.kernel; ++s) {
          const std::int64_t d = q * depth.dilation;
          const std::int64_t h = r * height.dilation;
          const std::int64_t w = s * width.dilation;
          taps.push_back({((c * depth.in + d) * height.in + h) * width.in + w,
                          static_cast<std::int32_t>(d), static_cast<std::int32_t>(h),
                          static_cast<std::int32_t>(w), 0});
        }
      }
    }
  }
  return taps;
}

/// The narrowest tile that holds a group's filters; none below half of the narrow one.
KernelId conv_kernel(const ConvArgs& args, bool u8) {
  if (args.filters < 8) return u8 ? KernelId::kConvU8Direct : KernelId::kConvF32Direct;
  if (args.filters <= 16) return u8 ? KernelId::kConvU8Gemm16 : KernelId::kConvF32Gemm16;
  return u8 ? KernelId::kConvU8Gemm64 : KernelId::kConvF32Gemm64;
}

}  // namespace

Plan plan_gemm(const Call& call) {
  require_dtypes(call);
  const auto& params = std::get<GemmParams>(call.params);
  const auto [m, n, k] =
      ops::gemm::resolve(params, call.inputs[0].type.shape, call.inputs[1].type.shape);
  GemmArgs args{};
  args.m = m;
  args.n = n;
  args.k = k;
  args.a_row = params.trans_a ? 1 : k;
  args.a_column = params.trans_a ? m : 1;
  args.b_row = params.trans_b ? 1 : n;
  args.b_column = params.trans_b ? k : 1;
  if (call.has(2)) {
    const auto strides = ops::broadcast_strides(call.inputs[2].type.shape, Shape{m, n});
    args.bias_row = strides[0];
    args.bias_column = strides[1];
  }
  args.alpha = params.alpha;
  args.beta = params.beta;
  args.epilogue = epilogue_of(params.activation);
  args.batch = 1;
  return plan_product(call, args);
}

Plan plan_matmul(const Call& call) {
  require_dtypes(call);
  const ops::matmul::Product product =
      ops::matmul::resolve(call.inputs[0].type.shape, call.inputs[1].type.shape);
  GemmArgs args{};
  args.m = product.m;
  args.n = product.n;
  args.k = product.k;
  args.a_row = product.k;
  args.a_column = 1;
  args.b_row = product.n;
  args.b_column = 1;
  args.alpha = 1.0F;
  args.batch = product.batch.elements();
  for (std::int64_t axis = 0; axis < product.batch.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    push_loop(args.batches, product.batch[axis], {product.a_strides[i], product.b_strides[i]});
  }
  return plan_product(call, args);
}

Plan plan_conv(const Call& call) {
  require_dtypes(call);
  const auto& params = std::get<ConvParams>(call.params);
  const Shape& x = call.inputs[0].type.shape;
  const Shape& w = call.inputs[1].type.shape;
  const ops::Window window = ops::conv::resolve(params, x, w);
  ConvArgs args{};
  args.images = x[0];
  args.groups = params.group;
  args.channels = w[1];
  args.filters = w[0] / params.group;
  args.k = w.elements(1, w.rank());
  args.inputs = x.elements(2, x.rank());
  args.outputs = call.outputs[0].shape.elements(2, x.rank());
  for (std::size_t i = 0; i < 3; ++i) args.axes[i] = axis_of(window[i]);
  args.epilogue = epilogue_of(params.activation);
  const std::int64_t count = call.outputs[0].shape.elements();
  const KernelId kernel = conv_kernel(args, is_u8(call));
  const bool direct = kernel == KernelId::kConvU8Direct || kernel == KernelId::kConvF32Direct;
  const std::int64_t tile = args.filters <= 16 ? 16 : 64;
  const Dim3 grid = direct || count == 0 ? grid_for(count)
                                         : tile_grid(tiles(args.images * args.outputs, 64),
                                                     tiles(args.filters, tile), args.groups);
  return plan_kernel(kernel, grid, args, count,
                     [taps = call.constants.upload(make_taps(window, args.channels)),
                      has_bias = call.has(2)](ConvArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.weights = step.in<float>(1);
                       complete.bias = has_bias ? step.in<float>(2) : nullptr;
                       complete.y = step.out<float>(0);
                       complete.taps = static_cast<const Tap*>(taps.get());
                     });
}

}  // namespace prs::cuda
