#include "ops/arg_max.hpp"

#include <algorithm>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::arg_max {

Extents extents(const ArgMaxParams& params, const Shape& x) {
  const std::int64_t axis = normalize_axis(params.axis, std::max<std::int64_t>(x.rank(), 1));
  if (x.rank() == 0) return {1, 1, 1};
  if (x[axis] == 0) {
    fail_model("axis {} of {} has no elements to choose from", params.axis, x.to_string());
  }
  return {x.elements(0, axis), x[axis], x.elements(axis + 1, x.rank())};
}

Params parse(const ParseArgs& args) {
  ArgMaxParams params;
  params.axis = args.attributes.get_int("axis", 0);
  params.keepdims = args.attributes.get_int("keepdims", 1) != 0;
  params.select_last_index = args.attributes.get_int("select_last_index", 0) != 0;
  return params;
}

/// The index of the largest element along one axis.
///
/// Shapes:   x T[..., A, ...], A > 0 -> y i64[..., 1, ...], or without that axis. T any number.
/// Params:   axis in [-rank, rank); keepdims; select_last_index: the last of equals, not the first.
/// Numerics: exact; NaN counts as larger than any number and equal to NaN.
/// Errors:   invalid model: axis out of range, A == 0; unsupported: dtype.
/// Cost:     reads x once.
/// Source:   ONNX ArgMax-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const ArgMaxParams& params = std::get<ArgMaxParams>(args.params);
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kNumbers, "input");
  extents(params, x.shape);
  Shape shape;
  for (std::int64_t axis = 0; axis < x.shape.rank(); ++axis) {
    const bool reduced = axis == normalize_axis(params.axis, x.shape.rank());
    if (!reduced || params.keepdims) shape.push_back(reduced ? 1 : x.shape[axis]);
  }
  outputs[0] = {DType::kInt64, shape};
}

void reference(const ReferenceArgs& args) {
  const ArgMaxParams& params = std::get<ArgMaxParams>(args.params);
  const TensorView& x = args.inputs[0];
  const Extents view = extents(params, x.shape);
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t row = 0; row < view.outer * view.inner; ++row) {
      const T* values = x.as<T>() + row / view.inner * view.extent * view.inner + row % view.inner;
      std::int64_t best = 0;
      for (std::int64_t i = 1; i < view.extent; ++i) {
        const T value = values[i * view.inner];
        const T largest = values[best * view.inner];
        const bool value_is_nan = value != value;
        const bool largest_is_nan = largest != largest;
        const bool larger = value_is_nan ? !largest_is_nan : value > largest;
        const bool equal = value_is_nan ? largest_is_nan : value == largest;
        if (larger || (equal && params.select_last_index)) best = i;
      }
      args.outputs[0].as<std::int64_t>()[row] = best;
    }
  });
}

}  // namespace prs::ops::arg_max
