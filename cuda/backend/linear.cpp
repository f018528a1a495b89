// Plans of Gemm, MatMul and Conv: f32 weights, f32 or u8 input.
#include <algorithm>
#include <array>
#include <limits>

#include "backend/dot.hpp"
#include "backend/linear.hpp"
#include "backend/packed.hpp"
#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/conv.hpp"
#include "ops/gemm.hpp"
#include "ops/matmul.hpp"
#include "ops/support.hpp"

namespace prs::cuda {
namespace {

bool is_u8(const Call& call) { return call.inputs[0].type.dtype == DType::kUint8; }

/// The input of a Gemm on tensor cores, from a kernel that has rounded it already.
bool is_rounded(const Call& call) {
  const DType dtype = call.inputs[0].type.dtype;
  return call.kind == OpKind::kGemm &&
         ((dtype == DType::kBFloat16 && call.precision == Precision::kBf16) ||
          (dtype == DType::kFloat16 && call.precision == Precision::kFp16));
}

/// Weights and bias are f32, the input f32 or u8.
void require_dtypes(const Call& call) {
  if (is_u8(call) || is_rounded(call)) {
    require_f32(call, std::array<std::size_t, 2>{1, 2});
  } else {
    require_f32(call, std::array<std::size_t, 3>{0, 1, 2});
  }
}

/// Whether the call's matrix, or filters, are.
bool is_constant(const Call& call) { return call.inputs[1].constant != nullptr; }

/// Whether the call's matrix goes through tensor cores: it is constant, and nobody asked for f32.
/// What of a quantised model was not quantised is f32.
bool on_tensor_cores(const Call& call) {
  return call.precision != Precision::kFp32 && call.precision != Precision::kInt8 &&
         is_constant(call);
}

/// Of the kernels of bf16, f16 and tf32, narrow and wide each, which follow one another, or of
/// wgmma's, three each.
KernelId product_kernel(KernelId bf16_narrow, KernelId bf16_wgmma, Precision precision,
                        const TensorTile& tile) {
  int type = 0;
  if (precision == Precision::kFp16) type = 1;
  if (precision == Precision::kTf32) type = 2;
  if (tile.wgmma) {
    return tile.of_columns(static_cast<KernelId>(static_cast<int>(bf16_wgmma) + 3 * type));
  }
  const int wide = tile.columns == kNarrowColumns ? 0 : 1;
  return static_cast<KernelId>(static_cast<int>(bf16_narrow) + 2 * type + wide);
}

/// y = epilogue(alpha * A * B + beta * bias) with B constant; the batch entries are rows of one A.
Plan plan_mma_product(const Call& call, const GemmArgs& args) {
  GemmMmaArgs mma{};
  mma.gemm = args;
  mma.pixels = is_u8(call);
  mma.rounded = is_rounded(call);
  // Whole runs of 16 bytes are copied as they are, unless the tile is narrow.
  const bool copied = mma.rounded && args.n > kNarrowColumns && args.k % 8 == 0;
  const TensorTile tile =
      tensor_tile(call.limits, 1, args.m, args.n, copied ? kWgmmaSlots : kWgmmaGatherBuffers);
  KernelId kernel = product_kernel(
      KernelId::kGemmBf16Narrow,
      copied ? KernelId::kGemmBf16WgmmaRing64 : KernelId::kGemmBf16Wgmma64, call.precision, tile);
  if (copied && !tile.wgmma) {
    const bool bf16 = call.precision == Precision::kBf16;
    kernel = bf16 ? KernelId::kGemmBf16Ring : KernelId::kGemmF16Ring;
  }
  const PackedMatrix packed = pack_matrix(call.constants, *call.inputs[1].constant,
                                          {1, args.n, args.k, 0, args.b_column, args.b_row},
                                          PackedFormat(call.precision, tile.wgmma), tile.columns);
  mma.packed = packed.memory.get();
  mma.stages = packed.stages;
  Plan plan = plan_kernel(
      kernel, tile_grid(call, tiles(args.m, tile.rows), tiles(args.n, tile.columns), 1), mma,
      args.m * args.n,
      [memory = packed.memory, has_bias = call.has(2)](GemmMmaArgs& complete,
                                                       const StepArgs& step) {
        complete.gemm.a = step.inputs[0];
        complete.gemm.bias = has_bias ? step.in<float>(2) : nullptr;
        complete.gemm.y = step.out<float>(0);
      },
      tile.shared_bytes(), tile.threads());
  plan.unread = 1U << 1;
  return plan;
}

KernelId dot_kernel(Precision precision) {
  switch (precision) {
    case Precision::kTf32:
      return KernelId::kGemmTf32Dot;
    case Precision::kBf16:
      return KernelId::kGemmBf16Dot;
    case Precision::kFp16:
      return KernelId::kGemmF16Dot;
    default:
      return KernelId::kGemmF32Dot;
  }
}

/// The same for few rows, in f32 as well.
Plan plan_dot_product(const Call& call, const GemmArgs& args) {
  const Precision precision = on_tensor_cores(call) ? call.precision : Precision::kFp32;
  const DotSpread spread =
      spread_dot(call, args.m, *call.inputs[1].constant,
                 {1, args.n, args.k, 0, args.b_column, args.b_row}, PackedFormat(precision));
  GemmDotArgs dot{};
  dot.gemm = args;
  dot.dot = spread.shape;
  dot.pixels = is_u8(call);
  dot.rounded = is_rounded(call);
  dot.runs = args.a_column == 1 && (args.m == 1 || args.a_row % 16 == 0);
  Plan plan = plan_kernel(dot_kernel(precision), spread.grid, dot, args.m * args.n,
                          [memory = spread.memory, has_bias = call.has(2)](GemmDotArgs& complete,
                                                                           const StepArgs& step) {
                            complete.gemm.a = step.inputs[0];
                            complete.gemm.bias = has_bias ? step.in<float>(2) : nullptr;
                            complete.gemm.y = step.out<float>(0);
                            set_scratch(complete.dot, step);
                          });
  plan.scratch = spread.scratch;
  plan.unread = 1U << 1;
  return plan;
}

Plan plan_product(const Call& call, const GemmArgs& args) {
  if (is_constant(call) && args.batch == 1 && args.m * args.n * args.k > 0) {
    if (takes_dot(args.m, args.n, call.limits)) return plan_dot_product(call, args);
    if (on_tensor_cores(call)) return plan_mma_product(call, args);
  }
  constexpr std::int64_t kTile = 64;
  const KernelId kernel = is_u8(call) ? KernelId::kGemmU8 : KernelId::kGemmF32;
  const std::int64_t count = args.batch * args.m * args.n;
  const Dim3 grid =
      count == 0 ? Dim3{} : tile_grid(call, tiles(args.m, kTile), tiles(args.n, kTile), args.batch);
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

/// No tile for groups of filters below half of the narrow one.
KernelId conv_kernel(const ConvArgs& args, std::int64_t tile, bool u8) {
  if (args.filters < 8) return u8 ? KernelId::kConvU8Direct : KernelId::kConvF32Direct;
  if (tile == 16) return u8 ? KernelId::kConvU8Gemm16 : KernelId::kConvF32Gemm16;
  return u8 ? KernelId::kConvU8Gemm64 : KernelId::kConvF32Gemm64;
}

Plan plan_mma_conv(const Call& call, const ConvArgs& args, const std::vector<Tap>& taps) {
  ConvMmaArgs mma{};
  mma.conv = args;
  mma.pixels = is_u8(call);
  const std::int64_t positions = args.images * args.outputs;
  const TensorTile tile = tensor_tile(call.limits, args.groups, positions, args.filters);
  const KernelId kernel =
      product_kernel(KernelId::kConvBf16Narrow, KernelId::kConvBf16Wgmma64, call.precision, tile);
  const PackedMatrix packed =
      pack_matrix(call.constants, *call.inputs[1].constant,
                  {args.groups, args.filters, args.k, args.filters * args.k, args.k, 1},
                  PackedFormat(call.precision, tile.wgmma), tile.columns);
  mma.packed = packed.memory.get();
  mma.stages = packed.stages;
  Plan plan = plan_kernel(
      kernel,
      tile_grid(call, tiles(positions, tile.rows), tiles(args.filters, tile.columns), args.groups),
      mma, positions * args.filters,
      [memory = packed.memory, uploaded = call.constants.upload(taps), has_bias = call.has(2)](
          ConvMmaArgs& complete, const StepArgs& step) {
        complete.conv.x = step.inputs[0];
        complete.conv.bias = has_bias ? step.in<float>(2) : nullptr;
        complete.conv.y = step.out<float>(0);
        complete.conv.taps = static_cast<const Tap*>(uploaded.get());
      },
      tile.shared_bytes(), tile.threads());
  plan.unread = 1U << 1;
  return plan;
}

}  // namespace

Dim3 tile_grid(const Call& call, std::int64_t x, std::int64_t y, std::int64_t z) {
  const Dim3& most = call.limits.grid;
  if (x > most.x || y > most.y) {
    fail_unsupported("{} x {} tiles on the GPU; at most {} x {}", x, y, most.x, most.y);
  }
  return {static_cast<unsigned>(x), static_cast<unsigned>(y),
          static_cast<unsigned>(std::min<std::int64_t>(z, most.z))};
}

std::int64_t tiles(std::int64_t extent, std::int64_t tile) { return (extent + tile - 1) / tile; }

// mma.sync has a wide tile and a narrow one, which wastes less where few columns are left over.
// wgmma would gain nothing there: in a tile of 128 x 16, products and the loads of their operands
// are 16 instructions of a warp for 64 of k, beside 32 elements of A that each of its lanes
// gathers, with ten instructions and more each. Of wider ones it takes all columns at once, as
// every tile gathers A anew, but smaller tiles where the large ones leave multiprocessors idle.
TensorTile tensor_tile(const DeviceLimits& limits, std::int64_t groups, std::int64_t rows,
                       std::int64_t columns, std::int64_t buffers) {
  if (columns <= kNarrowColumns) return {128, kNarrowColumns};
  constexpr TensorTile kWide = {64, kWideColumns};
  if (!limits.sm_90a) return kWide;
  TensorTile tile = {128, columns <= 64 ? 64 : columns <= 128 ? 128 : 256, true, buffers};
  const auto idle = [&] {
    return groups * tiles(rows, tile.rows) * tiles(columns, tile.columns) < limits.multiprocessors;
  };
  if (idle()) tile.rows = 64;
  while (tile.columns > 64 && (idle() || tile.shared_bytes() > limits.shared_bytes)) {
    tile.columns /= 2;
  }
  return tile.shared_bytes() > limits.shared_bytes ? kWide : tile;
}

std::int64_t conv_tile_filters(std::int64_t positions, std::int64_t filters, std::int64_t groups,
                               const DeviceLimits& limits) {
  const std::int64_t wide = tiles(positions, 64) * tiles(filters, 64) * groups;
  return filters <= 16 || 2 * wide <= limits.multiprocessors ? 16 : 64;
}

ConvGeometry conv_geometry(const Call& call, const ConvParams& params) {
  const Shape& x = call.inputs[0].type.shape;
  const Shape& w = call.inputs[1].type.shape;
  const ops::Window window = ops::conv::resolve(params, x, w);
  ConvGeometry geometry;
  ConvArgs& args = geometry.args;
  args.images = x[0];
  args.groups = params.group;
  args.channels = w[1];
  args.filters = w[0] / params.group;
  args.k = w.elements(1, w.rank());
  args.inputs = x.elements(2, x.rank());
  args.outputs = call.outputs[0].shape.elements(2, x.rank());
  for (std::size_t i = 0; i < 3; ++i) args.axes[i] = axis_of(window[i]);
  geometry.taps = make_taps(window, args.channels);
  return geometry;
}

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
  const auto shared = std::all_of(product.b_strides.begin(), product.b_strides.end(),
                                  [](std::int64_t stride) { return stride == 0; });
  const auto dense = args.batch * product.m * product.k == call.inputs[0].type.shape.elements();
  if (is_constant(call) && shared && dense) {
    args.m *= args.batch;
    args.batch = 1;
    return plan_product(call, args);
  }
  for (std::int64_t axis = 0; axis < product.batch.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    push_loop(args.batches, product.batch[axis], {product.a_strides[i], product.b_strides[i]});
  }
  return plan_product(call, args);
}

Plan plan_conv(const Call& call) {
  require_dtypes(call);
  const auto& params = std::get<ConvParams>(call.params);
  const ConvGeometry geometry = conv_geometry(call, params);
  ConvArgs args = geometry.args;
  args.epilogue = epilogue_of(params.activation);
  const std::int64_t count = call.outputs[0].shape.elements();
  if (on_tensor_cores(call) && count > 0 && args.filters >= kFewestMmaFilters) {
    return plan_mma_conv(call, args, geometry.taps);
  }
  const std::int64_t positions = args.images * args.outputs;
  const std::int64_t tile = conv_tile_filters(positions, args.filters, args.groups, call.limits);
  const KernelId kernel = conv_kernel(args, tile, is_u8(call));
  const bool direct = kernel == KernelId::kConvU8Direct || kernel == KernelId::kConvF32Direct;
  const Dim3 grid = direct || count == 0 ? grid_for(count)
                                         : tile_grid(call, tiles(positions, 64),
                                                     tiles(args.filters, tile), args.groups);
  return plan_kernel(kernel, grid, args, count,
                     [taps = call.constants.upload(geometry.taps), has_bias = call.has(2)](
                         ConvArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.weights = step.in<float>(1);
                       complete.bias = has_bias ? step.in<float>(2) : nullptr;
                       complete.y = step.out<float>(0);
                       complete.taps = static_cast<const Tap*>(taps.get());
                     });
}

}  // namespace prs::cuda
