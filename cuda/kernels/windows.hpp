// Where Conv's windows lie in its input, and its results in its output.
#pragma once

#include "kernels/common.hpp"

namespace prs::cuda::PRS_CUDA_WORLD {

/// Where the window of an output position begins; outside of the input where it is padded.
struct WindowStart {
  std::int64_t offset;  ///< In x's elements, of the first channel of the group.
  std::int64_t d, h, w;
};

PRS_DEVICE WindowStart window_start(const ConvArgs& args, std::int64_t image, std::int64_t group,
                                    std::int64_t position) {
  const Axis& depth = args.axes[0];
  const Axis& height = args.axes[1];
  const Axis& width = args.axes[2];
  WindowStart start;
  start.w = position % width.out * width.stride - width.pad_begin;
  start.h = position / width.out % height.out * height.stride - height.pad_begin;
  start.d = position / width.out / height.out * depth.stride - depth.pad_begin;
  start.offset = (image * args.groups + group) * args.channels * args.inputs +
                 (start.d * height.in + start.h) * width.in + start.w;
  return start;
}

/// Where a tap's element lies in x; -1 where it is padding.
PRS_DEVICE std::int64_t input_offset(const ConvArgs& args, const WindowStart& start,
                                     const Tap& tap) {
  const std::int64_t d = start.d + tap.d;
  const std::int64_t h = start.h + tap.h;
  const std::int64_t w = start.w + tap.w;
  const bool inside = d >= 0 && d < args.axes[0].in && h >= 0 && h < args.axes[1].in && w >= 0 &&
                      w < args.axes[2].in;
  return inside ? start.offset + tap.offset : -1;
}

template <typename X>
PRS_DEVICE float input_at(const ConvArgs& args, const WindowStart& start, const Tap& tap) {
  const std::int64_t at = input_offset(args, start, tap);
  return at < 0 ? 0.0F : static_cast<float>(static_cast<const X*>(args.x)[at]);
}

/// Where output `pixel` of a filter lies in y.
PRS_DEVICE std::int64_t output_at(const ConvArgs& args, std::int64_t pixel, std::int64_t filter) {
  const std::int64_t plane = pixel / args.outputs * args.groups * args.filters + filter;
  return plane * args.outputs + pixel % args.outputs;
}

}  // namespace prs::cuda::PRS_CUDA_WORLD
