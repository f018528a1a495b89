#include "ops/pool.hpp"

#include <limits>
#include <type_traits>

#include "check.hpp"
#include "ops/support.hpp"

namespace prs::ops::pool {
namespace {

constexpr DType kMaxPoolTypes[] = {DType::kFloat32, DType::kFloat64, DType::kInt8, DType::kUint8};

/// Calls body(id, ih, iw) for each tap of the window at (od, oh, ow) that lies inside the input.
template <typename Body>
void for_each_tap(const Window& window, std::int64_t od, std::int64_t oh, std::int64_t ow,
                  Body&& body) {
  const WindowAxis& depth = window[0];
  const WindowAxis& height = window[1];
  const WindowAxis& width = window[2];
  for (std::int64_t q = 0; q < depth.kernel; ++q) {
    for (std::int64_t r = 0; r < height.kernel; ++r) {
      for (std::int64_t s = 0; s < width.kernel; ++s) {
        const std::int64_t id = od * depth.stride - depth.pad_begin + q * depth.dilation;
        const std::int64_t ih = oh * height.stride - height.pad_begin + r * height.dilation;
        const std::int64_t iw = ow * width.stride - width.pad_begin + s * width.dilation;
        const bool inside =
            id >= 0 && id < depth.in && ih >= 0 && ih < height.in && iw >= 0 && iw < width.in;
        if (inside) body(id, ih, iw);
      }
    }
  }
}

/// Calls body(plane, od, oh, ow) for each output in row-major order.
template <typename Body>
void for_each_output(const Window& window, std::int64_t planes, Body&& body) {
  const WindowAxis& depth = window[0];
  const WindowAxis& height = window[1];
  const WindowAxis& width = window[2];
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t od = 0; od < depth.out; ++od) {
      for (std::int64_t oh = 0; oh < height.out; ++oh) {
        for (std::int64_t ow = 0; ow < width.out; ++ow) body(plane, od, oh, ow);
      }
    }
  }
}

template <typename T>
void max_pool(const ReferenceArgs& args, const Window& window) {
  const auto& params = std::get<PoolParams>(args.params);
  const WindowAxis& depth = window[0];
  const WindowAxis& height = window[1];
  const WindowAxis& width = window[2];
  const std::int64_t plane_size = depth.in * height.in * width.in;
  const T* x = args.inputs[0].as<T>();
  T* y = args.outputs[0].as<T>();
  std::int64_t* indices = args.wants(1) ? args.outputs[1].as<std::int64_t>() : nullptr;

  const std::int64_t planes = args.inputs[0].shape.elements(0, 2);
  for_each_output(window, planes, [&](auto plane, auto od, auto oh, auto ow) {
    constexpr T lowest = std::is_floating_point_v<T> ? -std::numeric_limits<T>::infinity()
                                                     : std::numeric_limits<T>::lowest();
    T best = lowest;
    std::int64_t index = -1;
    for_each_tap(window, od, oh, ow, [&](auto id, auto ih, auto iw) {
      const std::int64_t offset = (id * height.in + ih) * width.in + iw;
      const T value = x[plane * plane_size + offset];
      const bool nan = value != value && best == best;
      if (index >= 0 && !(value > best) && !nan) return;
      best = value;
      const std::int64_t position =
          params.storage_order == 0 ? offset : (iw * height.in + ih) * depth.in + id;
      index = plane * plane_size + position;
    });
    *y++ = best;
    if (indices != nullptr) *indices++ = index;
  });
}

template <typename T>
void average_pool(const ReferenceArgs& args, const Window& window) {
  const bool include_pad = std::get<PoolParams>(args.params).count_include_pad;
  const WindowAxis& depth = window[0];
  const WindowAxis& height = window[1];
  const WindowAxis& width = window[2];
  const T* x = args.inputs[0].as<T>();
  T* y = args.outputs[0].as<T>();

  const std::int64_t planes = args.inputs[0].shape.elements(0, 2);
  for_each_output(window, planes, [&](auto plane, auto od, auto oh, auto ow) {
    double sum = 0.0;
    std::int64_t count = 0;
    for_each_tap(window, od, oh, ow, [&](auto id, auto ih, auto iw) {
      sum += x[((plane * depth.in + id) * height.in + ih) * width.in + iw];
      ++count;
    });
    if (include_pad) {
      count = depth.padded_taps(od) * height.padded_taps(oh) * width.padded_taps(ow);
    }
    *y++ = static_cast<T>(sum / static_cast<double>(count));
  });
}

}  // namespace

Window resolve(const PoolParams& params, const Shape& x) {
  if (params.kernel_shape.empty()) fail_model("attribute 'kernel_shape' is missing");
  return resolve_window({.kernel_shape = params.kernel_shape,
                         .strides = params.strides,
                         .dilations = params.dilations,
                         .pads = params.pads,
                         .auto_pad = params.auto_pad,
                         .ceil_mode = params.ceil_mode},
                        x);
}

Params parse(const ParseArgs& args) {
  const Attributes& attributes = args.attributes;
  PoolParams params;
  params.kernel_shape = attributes.get_ints("kernel_shape");
  params.strides = attributes.get_ints("strides");
  params.dilations = attributes.get_ints("dilations");
  params.pads = attributes.get_ints("pads");
  params.auto_pad = parse_auto_pad(attributes.get_string("auto_pad", "NOTSET"));
  params.ceil_mode = attributes.get_int("ceil_mode", 0) != 0;
  if (args.kind == OpKind::kAveragePool) {
    params.count_include_pad = attributes.get_int("count_include_pad", 0) != 0;
  } else {
    params.storage_order = attributes.get_int("storage_order", 0);
    if (params.storage_order != 0 && params.storage_order != 1) {
      fail_model("storage_order is {}; expected 0 (row-major) or 1 (column-major)",
                 params.storage_order);
    }
  }
  if (params.kernel_shape.empty()) fail_model("attribute 'kernel_shape' is missing");
  return params;
}

/// MaxPool and AveragePool: the largest value, or the mean, of each window.
///
/// Shapes:   x [N, C, spatial...], 1 to 3 spatial axes -> y [N, C, spatial...], x's dtype.
///           MaxPool: f32, f64, i8, u8; Indices i64, y's shape (optional). AveragePool: f32, f64.
/// Params:   kernel_shape; strides, dilations >= 1; pads >= 0; auto_pad other than NOTSET overrides
///           pads and ceil_mode; ceil_mode keeps a last window that hangs over the end, unless it
///           begins in the end padding.
/// Numerics: MaxPool exact; padding is smaller than anything, a NaN is larger than anything, the
///           first of equal values gives the index, a window of padding alone the dtype's lowest
///           value (-inf) and index -1. Indices count through all of x, within a plane by
///           storage_order. AveragePool: |y - ref| <= (T + 8) * u * mean |x|, T taps, u = 2^-24;
///           it divides by the taps inside x or, with count_include_pad, inside x and pads (never
///           by those that hang over in ceil_mode); 0 / 0 is NaN.
/// Errors:   invalid model: attributes out of range or of wrong lengths, a window that does not
///           fit; unsupported: dtype, rank.
/// Cost:     y.elements * taps comparisons or additions; bound by memory for small windows.
/// Source:   ONNX MaxPool-1, -8, -10, -11, -12, -22; AveragePool-1, -7, -10, -11, -19, -22.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  if (args.kind == OpKind::kMaxPool) {
    require_dtype(x.dtype, kMaxPoolTypes, "x");
  } else {
    require_dtype(x.dtype, kFloats, "x");
  }
  const Window window = resolve(std::get<PoolParams>(args.params), x.shape);
  const Shape y = window_output(window, x.shape, x.shape[1]);
  outputs[0] = {x.dtype, y};
  if (outputs.size() > 1) outputs[1] = {DType::kInt64, y};
}

void reference(const ReferenceArgs& args) {
  if (args.outputs[0].shape.elements() == 0) return;
  const Window window = resolve(std::get<PoolParams>(args.params), args.inputs[0].shape);
  visit_dtype(args.inputs[0].dtype, [&](auto zero) {
    using T = decltype(zero);
    if (args.kind == OpKind::kMaxPool) {
      max_pool<T>(args, window);
    } else {
      average_pool<T>(args, window);
    }
  });
}

}  // namespace prs::ops::pool
