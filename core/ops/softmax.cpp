#include "ops/softmax.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::softmax {

Extents extents(const SoftmaxParams& params, const Shape& x) {
  const std::int64_t axis = normalize_axis(params.axis, std::max<std::int64_t>(x.rank(), 1));
  if (x.rank() == 0) return {1, 1, 1};
  if (x.elements() == 0) return {0, 1, 1};
  if (params.coerce_2d) return {x.elements(0, axis), x.elements(axis, x.rank()), 1};
  return {x.elements(0, axis), x[axis], x.elements(axis + 1, x.rank())};
}

Params parse(const ParseArgs& args) {
  SoftmaxParams params;
  params.coerce_2d = args.opset < 13;
  params.axis = args.attributes.get_int("axis", params.coerce_2d ? 1 : -1);
  return params;
}

/// Softmax along one axis: y[i] = exp(x[i] - max(x)) / sum_j exp(x[j] - max(x)); LogSoftmax: its
/// logarithm, y[i] = x[i] - max(x) - log(sum_j exp(x[j] - max(x))).
///
/// Shapes:   x T[..., A, ...] -> y, same shape; may alias x. T a float.
/// Params:   axis in [-rank, rank); coerce_2d (opsets below 13): A is all axes from `axis` on.
/// Numerics: max-shifted; with R = max x - min x, f32 Softmax: |y - ref| <= (2R + A + 8) * u * ref;
///           LogSoftmax: |y - ref| <= (2R + A + 8) * u. A row with NaN or +inf is NaN.
/// Errors:   invalid model: axis out of range; unsupported: dtype.
/// Cost:     reads x twice and y once, writes y twice; bound by memory, in cache for short rows.
/// Source:   ONNX Softmax-13, LogSoftmax-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kFloats, "input");
  extents(std::get<SoftmaxParams>(args.params), x.shape);
  outputs[0] = x;
}

void reference(const ReferenceArgs& args) {
  const TensorView& input = args.inputs[0];
  const Extents view = extents(std::get<SoftmaxParams>(args.params), input.shape);
  visit_dtype(input.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t row = 0; row < view.outer * view.inner; ++row) {
      const std::int64_t start = row / view.inner * view.extent * view.inner + row % view.inner;
      const T* x = input.as<T>() + start;
      T* y = args.outputs[0].as<T>() + start;
      double largest = -std::numeric_limits<double>::infinity();
      for (std::int64_t i = 0; i < view.extent; ++i) {
        largest = std::max(largest, static_cast<double>(x[i * view.inner]));
      }
      double sum = 0;
      for (std::int64_t i = 0; i < view.extent; ++i) {
        sum += std::exp(static_cast<double>(x[i * view.inner]) - largest);
      }
      for (std::int64_t i = 0; i < view.extent; ++i) {
        const double shifted = static_cast<double>(x[i * view.inner]) - largest;
        y[i * view.inner] = static_cast<T>(args.kind == OpKind::kSoftmax ? std::exp(shifted) / sum
                                                                         : shifted - std::log(sum));
      }
    }
  });
}

}  // namespace prs::ops::softmax
