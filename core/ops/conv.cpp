#include "ops/conv.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "check.hpp"
#include "ops/activation.hpp"
#include "ops/support.hpp"

namespace prs::ops::conv {
namespace {

Shape spatial(const Shape& shape) { return Shape(shape.extents().subspan(2)); }

void check_shapes(const ConvParams& params, const Shape& x, const Shape& w) {
  if (w.rank() != x.rank()) {
    fail_model("weights of shape {} for x of shape {}; expected equal ranks", w.to_string(),
               x.to_string());
  }
  if (params.group < 1) fail_model("group is {}; expected at least 1", params.group);
  if (x[1] % params.group != 0 || x[1] / params.group != w[1]) {
    fail_model("x has {} channels, but weights of shape {} with group {} take {} per group", x[1],
               w.to_string(), params.group, w[1]);
  }
  if (w[0] % params.group != 0) {
    fail_model("{} output channels are no multiple of group {}", w[0], params.group);
  }
}

template <typename X, typename T>
void convolve(const ReferenceArgs& args) {
  if (args.outputs[0].shape.elements() == 0) return;
  const auto& params = std::get<ConvParams>(args.params);
  const TensorView& x = args.inputs[0];
  const TensorView& w = args.inputs[1];
  const T* bias = args.has(2) ? args.inputs[2].as<T>() : nullptr;
  const Window window = resolve(params, x.shape, w.shape);
  const WindowAxis& depth = window[0];
  const WindowAxis& height = window[1];
  const WindowAxis& width = window[2];
  const std::int64_t channels = w.shape[1];
  const std::int64_t plane = depth.in * height.in * width.in;
  T* y = args.outputs[0].as<T>();

  const auto one = [&](const X* image, const T* filter, std::int64_t od, std::int64_t oh,
                       std::int64_t ow) {
    double sum = 0.0;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t q = 0; q < depth.kernel; ++q) {
        for (std::int64_t r = 0; r < height.kernel; ++r) {
          for (std::int64_t s = 0; s < width.kernel; ++s, ++filter) {
            const std::int64_t id = od * depth.stride - depth.pad_begin + q * depth.dilation;
            const std::int64_t ih = oh * height.stride - height.pad_begin + r * height.dilation;
            const std::int64_t iw = ow * width.stride - width.pad_begin + s * width.dilation;
            const bool inside =
                id >= 0 && id < depth.in && ih >= 0 && ih < height.in && iw >= 0 && iw < width.in;
            if (!inside) continue;
            const X value = image[c * plane + (id * height.in + ih) * width.in + iw];
            sum += static_cast<double>(value) * static_cast<double>(*filter);
          }
        }
      }
    }
    return sum;
  };

  const std::int64_t filters = w.shape[0];
  for (std::int64_t n = 0; n < x.shape[0]; ++n) {
    for (std::int64_t m = 0; m < filters; ++m) {
      const std::int64_t first_channel = m / (filters / params.group) * channels;
      const X* image = x.as<X>() + (n * x.shape[1] + first_channel) * plane;
      const T* filter = w.as<T>() + m * w.shape.elements(1, w.shape.rank());
      for (std::int64_t od = 0; od < depth.out; ++od) {
        for (std::int64_t oh = 0; oh < height.out; ++oh) {
          for (std::int64_t ow = 0; ow < width.out; ++ow) {
            const double sum =
                one(image, filter, od, oh, ow) + (bias != nullptr ? double{bias[m]} : 0.0);
            *y++ = static_cast<T>(activate(params.activation, sum));
          }
        }
      }
    }
  }
}

}  // namespace

Window resolve(const ConvParams& params, const Shape& x, const Shape& w) {
  if (x.rank() < 3 || x.rank() > 5) {
    fail_unsupported("x of shape {}; expected [N, C] and 1 to 3 spatial axes", x.to_string());
  }
  check_shapes(params, x, w);
  const Shape kernel = spatial(w);
  if (!params.kernel_shape.empty() && !std::ranges::equal(params.kernel_shape, kernel)) {
    fail_model("kernel_shape [{}] contradicts weights of shape {}",
               fmt::join(params.kernel_shape, ","), w.to_string());
  }
  return resolve_window({.kernel_shape = kernel.extents(),
                         .strides = params.strides,
                         .dilations = params.dilations,
                         .pads = params.pads,
                         .auto_pad = params.auto_pad},
                        x);
}

Params parse(const ParseArgs& args) {
  const Attributes& attributes = args.attributes;
  ConvParams params;
  params.kernel_shape = attributes.get_ints("kernel_shape");
  params.strides = attributes.get_ints("strides");
  params.dilations = attributes.get_ints("dilations");
  params.pads = attributes.get_ints("pads");
  params.auto_pad = parse_auto_pad(attributes.get_string("auto_pad", "NOTSET"));
  params.group = attributes.get_int("group", 1);
  return params;
}

/// Convolution in 1 to 3 spatial dimensions, with strides, dilations, padding by zeros and groups:
/// y[n, m, o] = activation(bias[m] + sum over c, t of x[n, c, o * stride - pad + t * dilation] *
/// w[m, c, t]).
///
/// Shapes:   x [N, C, spatial...], w [M, C / group, kernel...], bias [M] (optional)
///           -> y [N, M, spatial...]. All f32 or all f64; x also u8 when w is f32.
/// Params:   strides, dilations >= 1; pads >= 0; group divides C and M; auto_pad other than NOTSET
///           overrides pads; kernel_shape, when given, repeats the weights' extents.
/// Numerics: |y - ref| <= (K + 8) * u * (|bias| + sum |x| |w|), K = C / group * taps, u = 2^-24.
///           Taps in the padding count as x = 0; kernels may or may not add their products, so an
///           infinite weight over padding may give NaN.
/// Errors:   invalid model: ranks, lengths or channel counts that disagree, a kernel_shape that
///           contradicts the weights, attributes out of range, a window that does not fit;
///           unsupported: dtype, more than 3 spatial axes.
/// Cost:     2 * y.elements * K operations; bound by arithmetic.
/// Source:   ONNX Conv-1, -11, -22.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<ConvParams>(args.params);
  const TensorType& x = args.input(0);
  const TensorType& w = args.input(1);
  require_dtype(w.dtype, kFloats, "weights");
  const bool pixels = x.dtype == DType::kUint8 && w.dtype == DType::kFloat32;
  if (x.dtype != w.dtype && !pixels) {
    fail_unsupported("x of type {} with weights of type {}; expected equal types, or u8 with f32",
                     dtype_name(x.dtype), dtype_name(w.dtype));
  }
  const Window window = resolve(params, x.shape, w.shape);
  if (args.has(2)) {
    const TensorType& bias = args.input(2);
    if (bias.dtype != w.dtype || bias.shape != Shape{w.shape[0]}) {
      fail_model("bias is {}{}; expected {}[{}]", dtype_name(bias.dtype), bias.shape.to_string(),
                 dtype_name(w.dtype), w.shape[0]);
    }
  }
  outputs[0] = {w.dtype, window_output(window, x.shape, w.shape[0])};
}

void reference(const ReferenceArgs& args) {
  if (args.inputs[0].dtype == DType::kUint8) return convolve<std::uint8_t, float>(args);
  if (args.inputs[1].dtype == DType::kFloat64) return convolve<double, double>(args);
  convolve<float, float>(args);
}

}  // namespace prs::ops::conv
