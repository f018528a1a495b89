#include "ops/window.hpp"

#include <algorithm>
#include <limits>

#include "check.hpp"

namespace prs::ops {
namespace {

// Keeps every product and sum below within 64 bits.
constexpr std::int64_t kLimit = std::numeric_limits<std::int32_t>::max();

/// values[i], or fallback when the attribute is absent.
std::int64_t read(std::span<const std::int64_t> values, std::size_t i, std::int64_t fallback,
                  std::int64_t least, std::string_view name) {
  const std::int64_t value = values.empty() ? fallback : values[i];
  if (value < least || value > kLimit) {
    fail_model("{}[{}] is {}; expected {}..{}", name, i, value, least, kLimit);
  }
  return value;
}

void require_length(std::span<const std::int64_t> values, std::int64_t length, bool optional,
                    std::string_view name, const Shape& x) {
  if (optional && values.empty()) return;
  if (static_cast<std::int64_t>(values.size()) != length) {
    fail_model("{} has {} values; x of shape {} needs {}", name, values.size(), x.to_string(),
               length);
  }
}

void resolve_padding(WindowAxis& axis, AutoPad auto_pad) {
  if (auto_pad == AutoPad::kNotSet) return;
  axis.pad_begin = 0;
  axis.pad_end = 0;
  if (auto_pad == AutoPad::kValid || axis.in == 0) return;
  const std::int64_t out = (axis.in - 1) / axis.stride + 1;
  const std::int64_t total =
      std::max<std::int64_t>((out - 1) * axis.stride + axis.extent() - axis.in, 0);
  axis.pad_begin = auto_pad == AutoPad::kSameUpper ? total / 2 : total - total / 2;
  axis.pad_end = total - axis.pad_begin;
}

void resolve_output(WindowAxis& axis, bool same, bool ceil_mode, std::size_t i) {
  if (same) {
    axis.out = axis.in == 0 ? 0 : (axis.in - 1) / axis.stride + 1;
    return;
  }
  const std::int64_t room = axis.in + axis.pad_begin + axis.pad_end - axis.extent();
  if (room < 0) {
    fail_model(
        "spatial axis {}: a window of extent {} (kernel {}, dilation {}) does not fit into {} "
        "inputs with pads {} and {}",
        i, axis.extent(), axis.kernel, axis.dilation, axis.in, axis.pad_begin, axis.pad_end);
  }
  axis.out = (room + (ceil_mode ? axis.stride - 1 : 0)) / axis.stride + 1;
  // A window must not begin in the padding at the end.
  if (ceil_mode && (axis.out - 1) * axis.stride >= axis.in + axis.pad_begin) --axis.out;
}

}  // namespace

std::int64_t WindowAxis::first_tap(std::int64_t o) const noexcept {
  const std::int64_t outside = pad_begin - o * stride;
  return outside <= 0 ? 0 : std::min((outside + dilation - 1) / dilation, kernel);
}

std::int64_t WindowAxis::end_tap(std::int64_t o) const noexcept {
  const std::int64_t room = in + pad_begin - o * stride;
  const std::int64_t end = room <= 0 ? 0 : std::min((room + dilation - 1) / dilation, kernel);
  return std::max(end, first_tap(o));
}

std::int64_t WindowAxis::padded_taps(std::int64_t o) const noexcept {
  const std::int64_t room = in + pad_begin + pad_end - o * stride;
  return room <= 0 ? 0 : std::min((room + dilation - 1) / dilation, kernel);
}

Window resolve_window(const WindowSpec& spec, const Shape& x) {
  const std::int64_t rank = x.rank() - 2;
  if (rank < 1 || rank > 3) {
    fail_unsupported("x of shape {}; expected [N, C] and 1 to 3 spatial axes", x.to_string());
  }
  require_length(spec.kernel_shape, rank, false, "kernel_shape", x);
  require_length(spec.strides, rank, true, "strides", x);
  require_length(spec.dilations, rank, true, "dilations", x);
  const bool explicit_pads = spec.auto_pad == AutoPad::kNotSet;
  if (explicit_pads) require_length(spec.pads, 2 * rank, true, "pads", x);

  Window window;
  for (std::size_t i = 0; i < static_cast<std::size_t>(rank); ++i) {
    WindowAxis& axis = window[i + 3 - static_cast<std::size_t>(rank)];
    axis.in = x[static_cast<std::int64_t>(i) + 2];
    axis.kernel = read(spec.kernel_shape, i, 1, 1, "kernel_shape");
    axis.stride = read(spec.strides, i, 1, 1, "strides");
    axis.dilation = read(spec.dilations, i, 1, 1, "dilations");
    if (explicit_pads) {
      axis.pad_begin = read(spec.pads, i, 0, 0, "pads");
      axis.pad_end = read(spec.pads, i + static_cast<std::size_t>(rank), 0, 0, "pads");
    }
    const bool same = spec.auto_pad == AutoPad::kSameUpper || spec.auto_pad == AutoPad::kSameLower;
    resolve_padding(axis, spec.auto_pad);
    resolve_output(axis, same, spec.ceil_mode && explicit_pads, i);
  }
  return window;
}

Shape window_output(const Window& window, const Shape& x, std::int64_t channels) {
  Shape y{x[0], channels};
  for (std::int64_t axis = 2; axis < x.rank(); ++axis) {
    y.push_back(window[static_cast<std::size_t>(axis + 3 - x.rank())].out);
  }
  y.elements();  // Throws when there are too many.
  return y;
}

AutoPad parse_auto_pad(const std::string& text) {
  if (text.empty() || text == "NOTSET") return AutoPad::kNotSet;
  if (text == "SAME_UPPER") return AutoPad::kSameUpper;
  if (text == "SAME_LOWER") return AutoPad::kSameLower;
  if (text == "VALID") return AutoPad::kValid;
  fail_model("auto_pad '{}'; expected NOTSET, SAME_UPPER, SAME_LOWER or VALID", text);
}

}  // namespace prs::ops
