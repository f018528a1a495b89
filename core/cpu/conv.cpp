// Conv: f32 through the instruction-set kernels, everything else through plain loops.
//
// Plans are immutable and safe to run from several threads, each with scratch of its own.
#include "ops/conv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "cpu/conv_task.hpp"
#include "cpu/crew.hpp"
#include "cpu/isa/bf16.hpp"
#include "cpu/isa/gemm.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/kernel.hpp"
#include "cpu/lane_weights.hpp"
#include "cpu/pack_cache.hpp"
#include "cpu/pack_words.hpp"
#include "ops/activation.hpp"

namespace prs::cpu {
namespace {

// ---- plain loops --------------------------------------------------------------------------------

template <typename X, typename T>
T convolve_one(const ConvLayout& layout, const X* x, const T* w, std::int64_t od, std::int64_t oh,
               std::int64_t ow) {
  const auto& [depth, height, width] = layout.window;
  const std::int64_t d0 = od * depth.stride - depth.pad_begin;
  const std::int64_t h0 = oh * height.stride - height.pad_begin;
  const std::int64_t w0 = ow * width.stride - width.pad_begin;
  T sum = 0;
  for (std::int64_t c = 0; c < layout.channels; ++c) {
    for (std::int64_t q = depth.first_tap(od); q < depth.end_tap(od); ++q) {
      for (std::int64_t r = height.first_tap(oh); r < height.end_tap(oh); ++r) {
        const X* row =
            x + ((c * depth.in + d0 + q * depth.dilation) * height.in + h0 + r * height.dilation) *
                    width.in;
        const T* taps = w + ((c * depth.kernel + q) * height.kernel + r) * width.kernel;
        for (std::int64_t s = width.first_tap(ow); s < width.end_tap(ow); ++s) {
          sum += static_cast<T>(row[w0 + s * width.dilation]) * taps[s];
        }
      }
    }
  }
  return sum;
}

template <typename X, typename T>
void convolve(const ConvLayout& layout, const StepArgs& args) {
  const auto& [depth, height, width] = layout.window;
  const std::int64_t group_inputs = layout.channels * depth.in * height.in * width.in;
  const std::int64_t filter_size = layout.channels * depth.kernel * height.kernel * width.kernel;
  const X* x = static_cast<const X*>(args.inputs[0]);
  const T* weights = static_cast<const T*>(args.inputs[1]);
  const T* bias = layout.has_bias ? static_cast<const T*>(args.inputs[2]) : nullptr;
  T* y = static_cast<T*>(args.outputs[0]);
  for (std::int64_t i = 0; i < layout.images * layout.groups; ++i) {
    for (std::int64_t f = 0; f < layout.filters; ++f) {
      const std::int64_t filter = i % layout.groups * layout.filters + f;
      const T start = bias == nullptr ? T{0} : bias[filter];
      for (std::int64_t od = 0; od < depth.out; ++od) {
        for (std::int64_t oh = 0; oh < height.out; ++oh) {
          for (std::int64_t ow = 0; ow < width.out; ++ow) {
            const T sum = start + convolve_one(layout, x + i * group_inputs,
                                               weights + filter * filter_size, od, oh, ow);
            *y++ = static_cast<T>(ops::activate(layout.activation, sum));
          }
        }
      }
    }
  }
}

// ---- instruction-set kernels --------------------------------------------------------------------

Plan plan_f32(const Call& call, const ConvTask& task, const ConvLayout& layout,
              const std::string& prefix, const GemmKernels& kernels) {
  std::string algorithm = "im2col_gemm";
  if (task.direct) {
    algorithm = layout.channels == 1 && layout.groups > 1 ? "depthwise_direct" : "direct";
  } else if (is_pointwise(layout.window)) {
    algorithm = "pointwise_gemm";
  }
  Plan plan;
  const bool single = task.direct && task.filters == 1;
  plan.kernel = fmt::format("{}_{}_{}x{}", prefix, algorithm, single ? 1 : kernels.tile_rows,
                            single ? kernels.row_columns : kernels.tile_columns);
  const SharedStep step(call.sharing, conv_products(task) / kernels.lanes,
                        kernels.conv_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, shifts = make_shifts(task, layout.window), has_bias = layout.has_bias,
              run = kernels.conv, step](const StepArgs& args) {
    step.run<float>(args, [&](const Part& part, float* scratch) {
      run(task, {.x = args.inputs[0],
                 .weights = static_cast<const float*>(args.inputs[1]),
                 .bias = has_bias ? static_cast<const float*>(args.inputs[2]) : nullptr,
                 .shifts = shifts.data(),
                 .y = static_cast<float*>(args.outputs[0]),
                 .scratch = scratch,
                 .part = part});
    });
  };
  return plan;
}

/// Whether products of bf16 are asked for and pay: a group of one channel has nothing to pair.
bool wants_bf16(const Call& call, const ConvLayout& layout) {
  return call.precision == Precision::kBf16 && call.inputs[1].constant != nullptr &&
         call.inputs[1].type.dtype == DType::kFloat32 && layout.channels > 1;
}

Plan plan_bf16(const Call& call, const ConvTask& task, const ConvLayout& layout,
               const std::string& prefix, const Bf16Kernels& kernels) {
  const Tensor& weights = *call.inputs[1].constant;
  const std::int64_t taps = task.k / task.channels;
  const auto pack = [&] {
    return pack_conv_words<std::uint16_t>(
        layout.groups * layout.filters, layout.channels, taps,
        [from = weights.as<float>()](std::int64_t i) { return float_to_bfloat16(from[i]); });
  };
  Plan plan;
  plan.kernel = fmt::format("{}_bf16_im2col_gemm_{}x{}", prefix, kernels.tile_rows,
                            kernels.tile_vectors * kernels.lanes);
  const SharedStep step(call.sharing, conv_products(task) / kernels.lanes,
                        kernels.conv_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, shifts = make_shifts(task, layout.window), has_bias = layout.has_bias,
              packed = pack_constant(call.packed, weights, "conv bf16", pack), run = kernels.conv,
              step](const StepArgs& args) {
    step.run<std::uint32_t>(args, [&](const Part& part, std::uint32_t* scratch) {
      run(task, {.x = args.inputs[0],
                 .weights = packed->as<std::uint32_t>(),
                 .bias = has_bias ? static_cast<const float*>(args.inputs[2]) : nullptr,
                 .shifts = shifts.data(),
                 .y = static_cast<float*>(args.outputs[0]),
                 .scratch = scratch,
                 .part = part});
    });
  };
  return plan;
}

/// Known weights and bias, which Winograd transforms when the plan is made.
bool takes_winograd(const Call& call, const ConvLayout& layout, const LaneKernels& kernels) {
  return layout.groups == 1 && call.inputs[1].constant != nullptr &&
         (!layout.has_bias || call.inputs[2].constant != nullptr) &&
         prefers_winograd(layout.window, layout.channels, layout.filters, layout.activation,
                          kernels);
}

Plan plan_winograd(const Call& call, const ConvLayout& layout, const std::string& prefix,
                   const LaneKernels& kernels) {
  WinogradTask task;
  task.images = layout.images;
  task.channels = layout.channels;
  task.filters = layout.filters;
  task.x_is_u8 = call.inputs[0].type.dtype == DType::kUint8;
  task.activation = layout.activation;
  for (std::size_t i = 0; i < 2; ++i) {
    const ops::WindowAxis& axis = layout.window[i + 1];
    task.in[i] = axis.in;
    task.out[i] = axis.out;
    task.pad[i] = axis.pad_begin;
  }
  const Tensor& weights = *call.inputs[1].constant;
  const std::shared_ptr<const Tensor> packed =
      winograd_weights(weights, kernels.tile_filters, call.packed);
  std::vector<float> bias(static_cast<std::size_t>(layout.filters));
  if (layout.has_bias) {
    std::copy_n(call.inputs[2].constant->as<float>(), layout.filters, bias.begin());
  }
  std::vector<std::int32_t> rows;
  for (std::int64_t c = 0; c < layout.channels; ++c) {
    rows.push_back(static_cast<std::int32_t>(c * kernels.tile_positions * kernels.lanes));
  }
  Plan plan;
  plan.kernel = prefix + "_winograd_4x4_3x3";
  // A quarter of the products of the convolution itself.
  const std::int64_t products = task.images * task.filters * task.channels * task.out[0] *
                                task.out[1] * 9 / 4 / kernels.lanes;
  const SharedStep step(call.sharing, products, kernels.tile_winograd_scratch(task));
  plan.scratch_bytes = step.scratch_bytes();
  plan.run = [task, packed, bias = std::move(bias), rows = std::move(rows),
              run = kernels.tile_winograd, step](const StepArgs& args) {
    step.run<float>(args, [&](const Part& part, float* scratch) {
      run(task, {.x = args.inputs[0],
                 .weights = packed->as<float>(),
                 .bias = bias.data(),
                 .rows = rows.data(),
                 .y = static_cast<float*>(args.outputs[0]),
                 .scratch = scratch,
                 .part = part});
    });
  };
  return plan;
}

}  // namespace

Plan plan_conv(const Call& call, const Isa& isa) {
  const ConvLayout layout = read_conv_layout(call, std::get<ConvParams>(call.params));
  const DType x = call.inputs[0].type.dtype;
  const DType w = call.inputs[1].type.dtype;
  const std::string prefix = fmt::format("conv{}d_{}", call.inputs[0].type.shape.rank() - 2,
                                         x == w ? dtype_name(w) : "u8_f32");
  Plan plan;
  if (call.outputs[0].shape.elements() == 0) {
    plan.kernel = prefix + "_empty";
    plan.run = [](const StepArgs&) {};
    return plan;
  }
  // Where Winograd serves it is faster than bf16.
  const bool winograd = w == DType::kFloat32 && takes_winograd(call, layout, isa.lanes);
  if (wants_bf16(call, layout) && !winograd) {
    const ConvTask task = make_conv_word_task(layout, x, 2);
    if (fits_shifts(task)) return plan_bf16(call, task, layout, prefix, isa.bf16);
  }
  if (w == DType::kFloat32) {
    if (winograd) return plan_winograd(call, layout, prefix, isa.lanes);
    const ConvTask task = make_conv_task(layout, x, isa.gemm);
    if (fits_shifts(task)) return plan_f32(call, task, layout, prefix, isa.gemm);
  }
  plan.kernel = prefix + "_plain";
  plan.run = [layout, x, w](const StepArgs& args) {
    if (w == DType::kFloat64) {
      convolve<double, double>(layout, args);
    } else if (x == DType::kUint8) {
      convolve<std::uint8_t, float>(layout, args);
    } else {
      convolve<float, float>(layout, args);
    }
  };
  return plan;
}

}  // namespace prs::cpu
