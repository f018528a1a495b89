#include "cpu/conv_task.hpp"

#include <algorithm>
#include <limits>

namespace prs::cpu {

using ops::Window;
using ops::WindowAxis;

ConvLayout read_conv_layout(const Call& call, const ConvParams& params) {
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

bool is_pointwise(const Window& window) {
  for (const WindowAxis& axis : window) {
    if (axis.kernel != 1 || axis.stride != 1 || axis.pad_begin != 0 || axis.pad_end != 0) {
      return false;
    }
  }
  return true;
}

namespace {

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
bool prefers_direct(const ConvLayout& layout, std::int64_t width, const GemmKernels& kernels) {
  const std::int64_t vectors = (width + kernels.lanes - 1) / kernels.lanes;
  const double used = static_cast<double>(width) / static_cast<double>(vectors * kernels.lanes);
  if (layout.filters == 1) return used >= 0.3;
  return layout.filters <= 2 * kernels.tile_rows && used >= 0.75;
}

/// What does not hang on how the input is read.
ConvTask basic_task(const ConvLayout& layout, DType x) {
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
  return task;
}

/// `staged` is set: the extents of what is read.
void set_extents(ConvTask& task) {
  if (!task.staged) {
    for (std::size_t i = 0; i < 3; ++i) task.staged_extent[i] = task.in[i];
  }
  task.pitch = (task.staged_extent[2] - 1) / task.stride[2] + 1;
}

}  // namespace

ConvTask make_conv_task(const ConvLayout& layout, DType x, const GemmKernels& kernels) {
  ConvTask task = basic_task(layout, x);
  task.direct = prefers_direct(layout, task.out[2], kernels);
  // Direct vectors wider than an output row read past x's end.
  const bool overhangs = task.direct && task.out[2] < kernels.lanes;
  task.staged = task.x_is_u8 || is_padded(layout.window) || task.stride[2] != 1 || overhangs;
  set_extents(task);
  return task;
}

ConvTask make_conv_word_task(const ConvLayout& layout, DType x, std::int64_t per_word) {
  ConvTask task = basic_task(layout, x);
  task.unpacked_channels = layout.channels;
  task.channels = (layout.channels + per_word - 1) / per_word;
  task.k = task.k / std::max<std::int64_t>(layout.channels, 1) * task.channels;
  task.staged = true;
  set_extents(task);
  return task;
}

bool fits_shifts(const ConvTask& task) {
  std::int64_t room = std::numeric_limits<std::int32_t>::max();
  for (std::int64_t factor :
       {task.channels, task.staged_extent[0], task.staged_extent[1], task.stride[2], task.pitch}) {
    if (factor > 0) room /= factor;
  }
  return room > 0;
}

std::int64_t conv_products(const ConvTask& task) {
  return task.images * task.groups * task.filters * task.k * task.out[0] * task.out[1] *
         task.out[2];
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

}  // namespace prs::cpu
