// Plans of QuantizeLinear, DequantizeLinear and the layers of 8-bit integers.
#include "backend/quantized.hpp"

#include <fmt/format.h>

#include "backend/dot.hpp"
#include "backend/linear.hpp"
#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/gemm.hpp"
#include "ops/quantize.hpp"

namespace prs::cuda {
namespace {

/// Of either direction.
Plan plan_steps(const Call& call, KernelId kernel) {
  const ops::quantize::Extents extents = ops::quantize::resolve(
      std::get<QuantizeParams>(call.params), call.inputs[0].type.shape, call.inputs[1].type.shape,
      call.has(2) ? &call.inputs[2].type.shape : nullptr);
  QuantizeArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.channels = extents.channels;
  args.inner = extents.inner;
  return plan_kernel(kernel, grid_for(args.count), args, args.count,
                     [has_zero_points = call.has(2)](QuantizeArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.y = step.outputs[0];
                       complete.scales = step.in<float>(1);
                       complete.zero_points = has_zero_points ? step.inputs[2] : nullptr;
                     });
}

/// Of the backend's precisions only int8 promises the tensor cores that the kernels need.
const Tensor& constant_weights(const Call& call) {
  if (call.precision != Precision::kInt8) {
    fail_unsupported("layers of 8-bit integers in {} on the GPU; expected int8",
                     precision_name(call.precision));
  }
  if (call.inputs[1].constant == nullptr) {
    fail_unsupported("the GPU multiplies 8-bit integers with constant weights only");
  }
  return *call.inputs[1].constant;
}

/// Without addresses.
Requantize ends_of(const Requantization& out) {
  Requantize ends{};
  ends.to = static_cast<Element>(out.to);
  ends.low = out.low;
  ends.high = out.high;
  ends.zero_point = out.y_zero_point;
  return ends;
}

void set_addresses(Requantize& ends, const std::shared_ptr<const void>& starts,
                   const StepArgs& step) {
  ends.y = step.outputs[0];
  ends.starts = static_cast<const std::int32_t*>(starts.get());
  ends.multipliers = step.in<float>(2);
  ends.offsets = step.in<float>(3);
}

std::shared_ptr<const void> make_starts(const Call& call, const Tensor& weights,
                                        const MatrixView& view, const Requantization& out) {
  const std::int32_t zero_point = u8_zero_point(call.inputs[0].type.dtype, out.x_zero_point);
  const std::string layout = fmt::format("starts {} {} {} {} {} {}", zero_point, view.groups,
                                         view.n, view.k, view.n_stride, view.k_stride);
  return call.constants.packed({weights}, layout,
                               [&] { return sum_starts(weights, view, zero_point); });
}

/// Of the narrow and the wide kernel, which follow one another, and of wgmma's.
KernelId byte_kernel(KernelId narrow, KernelId wgmma, const TensorTile& tile) {
  if (tile.wgmma) return tile.of_columns(wgmma);
  return static_cast<KernelId>(static_cast<int>(narrow) + (tile.columns == 64 ? 1 : 0));
}

Plan plan_direct_conv(const Call& call, const QuantizedConvArgs& args,
                      std::shared_ptr<const void> taps, std::shared_ptr<const void> starts) {
  const std::int64_t count = call.outputs[0].shape.elements();
  return plan_kernel(KernelId::kConvU8S8Direct, grid_for(count), args, count,
                     [taps = std::move(taps), starts = std::move(starts)](
                         QuantizedConvArgs& complete, const StepArgs& step) {
                       complete.conv.x = step.inputs[0];
                       complete.conv.taps = static_cast<const Tap*>(taps.get());
                       complete.packed = step.inputs[1];
                       set_addresses(complete.out, starts, step);
                     });
}

Plan plan_quantized_dot(const Call& call, const QuantizedGemmArgs& args, const MatrixView& view,
                        std::shared_ptr<const void> starts) {
  const DotSpread spread =
      spread_dot(call, args.m, constant_weights(call), view, PackedFormat(Precision::kInt8));
  Plan plan = plan_kernel(KernelId::kGemmU8S8Dot, spread.grid, QuantizedDotArgs{args, spread.shape},
                          args.m * args.n,
                          [memory = spread.memory, starts = std::move(starts)](
                              QuantizedDotArgs& complete, const StepArgs& step) {
                            complete.gemm.x = step.in<std::uint8_t>(0);
                            set_addresses(complete.gemm.out, starts, step);
                            set_scratch(complete.dot, step);
                          });
  plan.scratch = spread.scratch;
  plan.unread = 1U << 1;
  return plan;
}

}  // namespace

std::int32_t u8_zero_point(DType x, std::int32_t zero_point) {
  return zero_point + (x == DType::kInt8 ? 128 : 0);
}

std::uint32_t u8_flip(DType x) { return x == DType::kInt8 ? 0x80808080U : 0; }

std::vector<std::int32_t> sum_starts(const Tensor& weights, const MatrixView& view,
                                     std::int32_t zero_point) {
  std::vector<std::int32_t> starts;
  for (std::int64_t group = 0; group < view.groups; ++group) {
    for (std::int64_t n = 0; n < view.n; ++n) {
      const auto* row = weights.as<std::int8_t>() + group * view.group_stride + n * view.n_stride;
      std::int64_t sum = 0;
      for (std::int64_t k = 0; k < view.k; ++k) sum += row[k * view.k_stride];
      starts.push_back(static_cast<std::int32_t>(-zero_point * sum));
    }
  }
  return starts;
}

RequantizeTables requantize_tables(const Graph& graph, const Node& node) {
  const auto constant = [&](std::size_t i) -> const Tensor& {
    return *graph.value(node.inputs[i]).constant;
  };
  const Shape& shape = constant(1).shape();
  const auto* conv = std::get_if<QuantizedConvParams>(&node.params);
  const auto* gemm = std::get_if<QuantizedGemmParams>(&node.params);
  const bool rows = conv != nullptr || gemm->trans_b;  // Of the weights: outputs.
  const std::int64_t n = shape[rows ? 0 : 1];
  const std::int64_t k = shape.elements() / n;
  const Requantization& out = conv != nullptr ? conv->out : gemm->out;
  const std::int32_t zero_point =
      u8_zero_point(graph.value(node.inputs[0]).dtype, out.x_zero_point);
  return {sum_starts(constant(1), {1, n, k, 0, rows ? k : 1, rows ? 1 : n}, zero_point),
          constant(2).as<float>(), constant(3).as<float>()};
}

OneScale one_scale(const Graph& graph, const Node& node) {
  const bool has_zero_point = node.inputs.size() > 2 && node.inputs[2] != kNoValue;
  return {
      *graph.value(node.inputs[1]).constant->as<float>(),
      has_zero_point ? ops::quantize::element(graph.value(node.inputs[2]).constant->view(), 0) : 0};
}

Plan plan_quantize(const Call& call) {
  return plan_steps(
      call, call.outputs[0].dtype == DType::kInt8 ? KernelId::kQuantizeI8 : KernelId::kQuantizeU8);
}

Plan plan_dequantize(const Call& call) {
  switch (call.inputs[0].type.dtype) {
    case DType::kInt8:
      return plan_steps(call, KernelId::kDequantizeI8);
    case DType::kInt32:
      return plan_steps(call, KernelId::kDequantizeI32);
    default:
      return plan_steps(call, KernelId::kDequantizeU8);
  }
}

Plan plan_quantized_gemm(const Call& call) {
  const auto& params = std::get<QuantizedGemmParams>(call.params);
  const Tensor& weights = constant_weights(call);
  const auto [m, n, k] = ops::gemm::resolve({.trans_b = params.trans_b, .activation = {}},
                                            call.inputs[0].type.shape, weights.shape());
  const MatrixView view{1, n, k, 0, params.trans_b ? k : 1, params.trans_b ? 1 : n};
  QuantizedGemmArgs args{};
  args.m = m;
  args.n = n;
  args.k = k;
  args.flip = u8_flip(call.inputs[0].type.dtype);
  args.out = ends_of(params.out);
  auto starts = make_starts(call, weights, view, params.out);
  if (m * n * k > 0 && takes_dot(m, n, call.limits)) {
    return plan_quantized_dot(call, args, view, std::move(starts));
  }
  const TensorTile tile = tensor_tile(call.limits, 1, m, n);
  const PackedMatrix packed = pack_matrix(call.constants, weights, view,
                                          PackedFormat(Precision::kInt8, tile.wgmma), tile.columns);
  args.packed = packed.memory.get();
  args.stages = packed.stages;
  Plan plan = plan_kernel(
      byte_kernel(KernelId::kGemmU8S8Narrow, KernelId::kGemmU8S8Wgmma64, tile),
      tile_grid(call, tiles(m, tile.rows), tiles(n, tile.columns), 1), args, m * n,
      [memory = packed.memory, starts = std::move(starts)](QuantizedGemmArgs& complete,
                                                           const StepArgs& step) {
        complete.x = step.in<std::uint8_t>(0);
        set_addresses(complete.out, starts, step);
      },
      tile.shared_bytes(), tile.threads());
  plan.unread = 1U << 1;
  return plan;
}

Plan plan_quantized_conv(const Call& call) {
  const auto& params = std::get<QuantizedConvParams>(call.params);
  const Tensor& weights = constant_weights(call);
  const ConvGeometry geometry = conv_geometry(call, params.conv);
  const ConvArgs& conv = geometry.args;
  const MatrixView view{conv.groups, conv.filters, conv.k, conv.filters * conv.k, conv.k, 1};
  QuantizedConvArgs args{};
  args.conv = conv;
  args.flip = u8_flip(call.inputs[0].type.dtype);
  args.padding = static_cast<std::uint8_t>(params.out.x_zero_point);
  args.out = ends_of(params.out);
  auto taps = call.constants.upload(geometry.taps);
  auto starts = make_starts(call, weights, view, params.out);
  const std::int64_t count = call.outputs[0].shape.elements();
  if (conv.filters < kFewestMmaFilters || count == 0) {
    return plan_direct_conv(call, args, std::move(taps), std::move(starts));
  }
  const TensorTile tile =
      tensor_tile(call.limits, conv.groups, conv.images * conv.outputs, conv.filters);
  const PackedMatrix packed = pack_matrix(call.constants, weights, view,
                                          PackedFormat(Precision::kInt8, tile.wgmma), tile.columns);
  args.packed = packed.memory.get();
  args.stages = packed.stages;
  Plan plan = plan_kernel(
      byte_kernel(KernelId::kConvU8S8Narrow, KernelId::kConvU8S8Wgmma64, tile),
      tile_grid(call, tiles(conv.images * conv.outputs, tile.rows),
                tiles(conv.filters, tile.columns), conv.groups),
      args, count,
      [memory = packed.memory, taps = std::move(taps), starts = std::move(starts)](
          QuantizedConvArgs& complete, const StepArgs& step) {
        complete.conv.x = step.inputs[0];
        complete.conv.taps = static_cast<const Tap*>(taps.get());
        set_addresses(complete.out, starts, step);
      },
      tile.shared_bytes(), tile.threads());
  plan.unread = 1U << 1;
  return plan;
}

}  // namespace prs::cuda
