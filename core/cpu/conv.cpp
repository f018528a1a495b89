// Conv: f32 through the instruction-set kernels, everything else through plain loops.
//
// Plans are immutable and safe to run from several threads, each with scratch of its own.
#include "ops/conv.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "cpu/isa/gemm.hpp"
#include "cpu/isa/isa.hpp"
#include "cpu/isa/lanes.hpp"
#include "cpu/kernel.hpp"
#include "cpu/lane_weights.hpp"
#include "cpu/pack_cache.hpp"
#include "ops/activation.hpp"

namespace prs::cpu {
namespace {

using ops::Window;
using ops::WindowAxis;

/// What both ways need of the call.
struct Layout {
  Window window;
  std::int64_t images;
  std::int64_t groups;
  std::int64_t channels;  ///< Of x, per group.
  std::int64_t filters;   ///< Channels of y, per group.
  bool has_bias;
  Activation activation;
};

Layout read_layout(const Call& call) {
  const auto& params = std::get<ConvParams>(call.params);
  const Shape& x = call.inputs[0].type.shape;
  const Shape& w = call.inputs[1].type.shape;
  return {.window = ops::conv::resolve(params, x, w),
          .images = x[0],
          .groups = params.group,
          .channels = w[1],
          .filters = w[0] / params.group,
          .has_bias = call.has(2),
          .activation = params.activation};
}

// ---- plain loops --------------------------------------------------------------------------------

template <typename X, typename T>
T convolve_one(const Layout& layout, const X* x, const T* w, std::int64_t od, std::int64_t oh,
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
void convolve(const Layout& layout, const StepArgs& args) {
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

bool is_pointwise(const Window& window) {
  for (const WindowAxis& axis : window) {
    if (axis.kernel != 1 || axis.stride != 1 || axis.pad_begin != 0 || axis.pad_end != 0) {
      return false;
    }
  }
  return true;
}

bool is_padded(const Window& window) {
  for (const WindowAxis& axis : window) {
    if (axis.pad_begin != 0 || axis.pad_end != 0) return true;
  }
  return false;
}

/// The last input position, padding included, that a window touches, plus one.
std::int64_t touched(const WindowAxis& axis) {
  return (axis.out - 1) * axis.stride + axis.extent();
}

/// Whether one filter row or few gain more from skipping the gathering than they lose in lanes that
/// hang over the ends of output rows.
bool prefers_direct(const Layout& layout, std::int64_t width, const GemmKernels& kernels) {
  const std::int64_t vectors = (width + kernels.lanes - 1) / kernels.lanes;
  const double used = static_cast<double>(width) / static_cast<double>(vectors * kernels.lanes);
  if (layout.filters == 1) return used >= 0.3;
  return layout.filters <= 2 * kernels.tile_rows && used >= 0.75;
}

ConvTask make_task(const Layout& layout, DType x, const GemmKernels& kernels) {
  ConvTask task;
  task.images = layout.images;
  task.groups = layout.groups;
  task.channels = layout.channels;
  task.filters = layout.filters;
  task.k = layout.channels;
  task.activation = layout.activation;
  task.x_is_u8 = x == DType::kUint8;
  if (is_pointwise(layout.window)) {
    // One long row of outputs.
    std::int64_t size = 1;
    for (const WindowAxis& axis : layout.window) size *= axis.in;
    for (std::size_t i = 0; i < 3; ++i) {
      task.in[i] = task.out[i] = task.staged_extent[i] = i == 2 ? size : 1;
      task.stride[i] = 1;
      task.extent[i] = 1;
    }
  } else {
    for (std::size_t i = 0; i < 3; ++i) {
      const WindowAxis& axis = layout.window[i];
      task.k *= axis.kernel;
      task.in[i] = axis.in;
      task.out[i] = axis.out;
      task.stride[i] = axis.stride;
      task.pad_begin[i] = axis.pad_begin;
      task.extent[i] = axis.extent();
      task.staged_extent[i] = touched(axis);
    }
  }
  task.direct = prefers_direct(layout, task.out[2], kernels);
  // Direct vectors wider than an output row read past x's end.
  const bool overhangs = task.direct && task.out[2] < kernels.lanes;
  task.staged = task.x_is_u8 || is_padded(layout.window) || task.stride[2] != 1 || overhangs;
  if (!task.staged) {
    for (std::size_t i = 0; i < 3; ++i) task.staged_extent[i] = task.in[i];
  }
  task.pitch = (task.staged_extent[2] - 1) / task.stride[2] + 1;
  return task;
}

/// Whether positions in one group's (staged) input fit into the kernels' 32-bit shifts.
bool fits_shifts(const ConvTask& task) {
  std::int64_t room = std::numeric_limits<std::int32_t>::max();
  for (std::int64_t factor :
       {task.channels, task.staged_extent[0], task.staged_extent[1], task.stride[2], task.pitch}) {
    if (factor > 0) room /= factor;
  }
  return room > 0;
}

std::vector<std::int32_t> make_shifts(const ConvTask& task, const Window& window) {
  const auto& [depth, height, width] = window;
  const std::int64_t row = task.stride[2] * task.pitch;
  std::vector<std::int32_t> shifts;
  for (std::int64_t c = 0; c < task.channels; ++c) {
    for (std::int64_t q = 0; q < depth.kernel; ++q) {
      for (std::int64_t r = 0; r < height.kernel; ++r) {
        for (std::int64_t s = 0; s < width.kernel; ++s) {
          const std::int64_t plane = c * task.staged_extent[0] + q * depth.dilation;
          const std::int64_t column = s * width.dilation;
          shifts.push_back(static_cast<std::int32_t>(
              (plane * task.staged_extent[1] + r * height.dilation) * row +
              column % task.stride[2] * task.pitch + column / task.stride[2]));
        }
      }
    }
  }
  return shifts;
}

Plan plan_f32(const ConvTask& task, const Layout& layout, const std::string& prefix,
              const GemmKernels& kernels) {
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
  plan.scratch_bytes = kernels.conv_scratch(task) * static_cast<std::int64_t>(sizeof(float));
  plan.run = [task, shifts = make_shifts(task, layout.window), has_bias = layout.has_bias,
              run = kernels.conv](const StepArgs& args) {
    run(task, {.x = args.inputs[0],
               .weights = static_cast<const float*>(args.inputs[1]),
               .bias = has_bias ? static_cast<const float*>(args.inputs[2]) : nullptr,
               .shifts = shifts.data(),
               .y = static_cast<float*>(args.outputs[0]),
               .scratch = reinterpret_cast<float*>(args.scratch)});
  };
  return plan;
}

/// Known weights and bias, which Winograd transforms when the plan is made.
bool takes_winograd(const Call& call, const Layout& layout, const LaneKernels& kernels) {
  return layout.groups == 1 && call.inputs[1].constant != nullptr &&
         (!layout.has_bias || call.inputs[2].constant != nullptr) &&
         prefers_winograd(layout.window, layout.channels, layout.filters, layout.activation,
                          kernels);
}

Plan plan_winograd(const Call& call, const Layout& layout, const std::string& prefix,
                   const LaneKernels& kernels) {
  WinogradTask task;
  task.images = layout.images;
  task.channels = layout.channels;
  task.filters = layout.filters;
  task.x_is_u8 = call.inputs[0].type.dtype == DType::kUint8;
  task.activation = layout.activation;
  for (std::size_t i = 0; i < 2; ++i) {
    const WindowAxis& axis = layout.window[i + 1];
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
  plan.scratch_bytes =
      kernels.tile_winograd_scratch(task) * static_cast<std::int64_t>(sizeof(float));
  plan.run = [task, packed, bias = std::move(bias), rows = std::move(rows),
              run = kernels.tile_winograd](const StepArgs& args) {
    run(task, {.x = args.inputs[0],
               .weights = packed->as<float>(),
               .bias = bias.data(),
               .rows = rows.data(),
               .y = static_cast<float*>(args.outputs[0]),
               .scratch = reinterpret_cast<float*>(args.scratch)});
  };
  return plan;
}

}  // namespace

Plan plan_conv(const Call& call, const Isa& isa) {
  const Layout layout = read_layout(call);
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
  if (w == DType::kFloat32) {
    if (takes_winograd(call, layout, isa.lanes)) {
      return plan_winograd(call, layout, prefix, isa.lanes);
    }
    const ConvTask task = make_task(layout, x, isa.gemm);
    if (fits_shifts(task)) return plan_f32(task, layout, prefix, isa.gemm);
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
