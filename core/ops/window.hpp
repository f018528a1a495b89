// Sliding windows: what kernel shape, strides, dilations, pads, auto_pad and ceil_mode of Conv and
// the pools come to for one input shape. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "ops/params.hpp"
#include "prs/tensor.hpp"

namespace prs::ops {

/// One spatial axis. Tap t of output position o reads input o * stride - pad_begin + t * dilation;
/// what lies outside [0, in) is padding.
struct WindowAxis {
  std::int64_t in = 1;
  std::int64_t out = 1;
  std::int64_t kernel = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t pad_begin = 0;
  std::int64_t pad_end = 0;

  /// The distance from a window's first input to the one after its last.
  std::int64_t extent() const noexcept { return (kernel - 1) * dilation + 1; }
  /// The taps of output position o inside the input are [first_tap, end_tap); none when equal.
  std::int64_t first_tap(std::int64_t o) const noexcept;
  std::int64_t end_tap(std::int64_t o) const noexcept;
  /// The number of taps of output position o inside the input or its pads.
  std::int64_t padded_taps(std::int64_t o) const noexcept;
};

/// Depth, height, width. Inputs with fewer spatial axes leave the first ones at their defaults.
using Window = std::array<WindowAxis, 3>;

/// The attributes; empty vectors mean ONNX's defaults. kernel_shape must not be empty.
struct WindowSpec {
  std::span<const std::int64_t> kernel_shape;
  std::span<const std::int64_t> strides;
  std::span<const std::int64_t> dilations;
  std::span<const std::int64_t> pads;
  AutoPad auto_pad = AutoPad::kNotSet;
  bool ceil_mode = false;
};

/// The window over x, [N, C, 1 to 3 spatial axes]. Throws invalid model when attributes contradict
/// the rank, are out of range or the window does not fit; unsupported for other ranks.
Window resolve_window(const WindowSpec& spec, const Shape& x);

/// [x's N, channels, the window's output extents].
Shape window_output(const Window& window, const Shape& x, std::int64_t channels);

/// The attribute auto_pad: NOTSET (also when empty), SAME_UPPER, SAME_LOWER or VALID.
AutoPad parse_auto_pad(const std::string& text);

}  // namespace prs::ops
