#include "ops/mean_variance.hpp"

#include <cmath>
#include <variant>

#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::mean_variance {

Groups split(const MeanVarianceParams& params, const Shape& shape) {
  Groups groups;
  groups.rank = shape.rank();
  const std::vector<std::int64_t> strides = row_major_strides(shape);
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    groups.strides[axis] = strides[axis];
    groups.kept_extents[axis] = shape[static_cast<std::int64_t>(axis)];
    groups.inner_extents[axis] = 1;
  }
  for (const std::int64_t wanted : params.axes) {
    const auto axis = static_cast<std::size_t>(normalize_axis(wanted, shape.rank()));
    groups.kept_extents[axis] = 1;
    groups.inner_extents[axis] = shape[static_cast<std::int64_t>(axis)];
  }
  for (std::size_t axis = 0; axis < strides.size(); ++axis) {
    groups.count *= groups.kept_extents[axis];
    groups.size *= groups.inner_extents[axis];
  }
  return groups;
}

Params parse(const ParseArgs& args) {
  MeanVarianceParams params;
  if (auto axes = args.attributes.find_ints("axes")) params.axes = std::move(*axes);
  return params;
}

/// MeanVarianceNormalization: y = (x - mean) / (sqrt(var) + 1e-9), statistics over `axes`.
///
/// Shapes:   x f32 or f64 [...] -> y, same shape.
/// Params:   axes in [-rank, rank), default {0, 2, 3}.
/// Numerics: population variance in two passes, never negative.
/// Errors:   invalid model: an axis out of range; unsupported: dtype.
/// Cost:     reads 3x, writes 1x; bound by memory.
/// Source:   ONNX MeanVarianceNormalization-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  require_dtype(x.dtype, kFloats, "x");
  split(std::get<MeanVarianceParams>(args.params), x.shape);
  outputs[0] = x;
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const Groups groups = split(std::get<MeanVarianceParams>(args.params), x.shape);
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* from = x.as<T>();
    T* to = args.outputs[0].as<T>();
    for (std::int64_t group = 0; group < groups.count; ++group) {
      const std::int64_t base = groups.offset(groups.kept_extents, group);
      const auto at = [&](std::int64_t i) { return base + groups.offset(groups.inner_extents, i); };
      double sum = 0.0;
      for (std::int64_t i = 0; i < groups.size; ++i) sum += static_cast<double>(from[at(i)]);
      const double mean = sum / static_cast<double>(groups.size);
      double squares = 0.0;
      for (std::int64_t i = 0; i < groups.size; ++i) {
        const double centered = static_cast<double>(from[at(i)]) - mean;
        squares += centered * centered;
      }
      const double deviation = std::sqrt(squares / static_cast<double>(groups.size)) + kEpsilon;
      for (std::int64_t i = 0; i < groups.size; ++i) {
        to[at(i)] = static_cast<T>((static_cast<double>(from[at(i)]) - mean) / deviation);
      }
    }
  });
}

}  // namespace prs::ops::mean_variance
