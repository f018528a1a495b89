#include "ops/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "check.hpp"
#include "ops/indexing.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::reduce {
namespace {

constexpr DType kSummable[] = {DType::kFloat32, DType::kFloat64, DType::kInt32,
                               DType::kInt64,   DType::kUint32,  DType::kUint64};
constexpr DType kOrdered[] = {DType::kFloat32, DType::kFloat64, DType::kInt32,
                              DType::kInt64,   DType::kUint32,  DType::kUint64,
                              DType::kInt8,    DType::kUint8,   DType::kBool};

/// What the reduction of nothing is.
template <typename T>
T extreme_of_none(bool largest) {
  using Limits = std::numeric_limits<T>;
  if (Limits::has_infinity) return largest ? -Limits::infinity() : Limits::infinity();
  return largest ? Limits::lowest() : Limits::max();
}

template <typename T>
T larger_or_smaller(bool largest, T a, T b) {
  if (a != a) return a;
  if (b != b) return b;
  return largest ? std::max(a, b) : std::min(a, b);
}

/// Calls visit(x's element) for all elements that output element `index` is made of.
template <typename T, typename Visit>
void visit_reduced(const TensorView& x, AxisSet axes, std::int64_t index, Visit visit) {
  const Shape kept = reduced_shape(x.shape, axes, true);
  Shape inside;
  for (std::int64_t axis = 0; axis < x.shape.rank(); ++axis) {
    inside.push_back(kept[axis] == x.shape[axis] ? 1 : x.shape[axis]);
  }
  const auto strides = row_major_strides(x.shape);
  const T* start = x.as<T>() + offset_at(index, kept, strides);
  for (std::int64_t i = 0; i < inside.elements(); ++i) visit(start[offset_at(i, inside, strides)]);
}

template <typename T>
T reduce_one(OpKind kind, const TensorView& x, AxisSet axes, std::int64_t index) {
  if (kind == OpKind::kReduceMax || kind == OpKind::kReduceMin) {
    const bool largest = kind == OpKind::kReduceMax;
    T result = extreme_of_none<T>(largest);
    visit_reduced<T>(x, axes, index,
                     [&](T value) { result = larger_or_smaller(largest, result, value); });
    return result;
  }
  std::int64_t count = 0;
  if constexpr (std::is_floating_point_v<T>) {
    double sum = 0;
    visit_reduced<T>(x, axes, index, [&](T value) {
      sum += static_cast<double>(value);
      ++count;
    });
    return static_cast<T>(kind == OpKind::kReduceMean ? sum / static_cast<double>(count) : sum);
  } else {
    std::uint64_t sum = 0;
    visit_reduced<T>(x, axes, index, [&](T value) {
      sum += static_cast<std::uint64_t>(value);
      ++count;
    });
    if (kind == OpKind::kReduceSum) return static_cast<T>(sum);
    if (count == 0) return T{0};
    if (std::is_signed_v<T>) return static_cast<T>(static_cast<std::int64_t>(sum) / count);
    return static_cast<T>(sum / static_cast<std::uint64_t>(count));
  }
}

}  // namespace

AxisSet reduced_axes(const ReduceParams& params, std::int64_t rank,
                     const std::optional<std::vector<std::int64_t>>& input) {
  const std::optional<std::vector<std::int64_t>>& axes =
      params.legacy_axes ? params.legacy_axes : input;
  if (!axes || axes->empty()) {
    return params.noop_with_empty_axes ? 0 : (AxisSet{1} << rank) - 1;
  }
  AxisSet set = 0;
  for (std::int64_t axis : *axes) set |= AxisSet{1} << normalize_axis(axis, rank);
  return set;
}

Shape reduced_shape(const Shape& x, AxisSet axes, bool keepdims) {
  Shape result;
  for (std::int64_t axis = 0; axis < x.rank(); ++axis) {
    const bool reduced = ((axes >> axis) & 1u) != 0;
    if (!reduced || keepdims) result.push_back(reduced ? 1 : x[axis]);
  }
  return result;
}

Params parse(const ParseArgs& args) {
  ReduceParams params;
  const std::int64_t axes_input_since = args.kind == OpKind::kReduceSum ? 13 : 18;
  if (args.opset < axes_input_since) {
    params.legacy_axes = args.attributes.get_ints("axes");
  } else {
    params.noop_with_empty_axes = args.attributes.get_int("noop_with_empty_axes", 0) != 0;
  }
  params.keepdims = args.attributes.get_int("keepdims", 1) != 0;
  return params;
}

/// Sum, mean, largest or smallest element along a set of axes.
///
/// Shapes:   x T[X...], axes i64[n]? -> y T, X with the reduced axes 1 (keepdims) or dropped.
///           Sum and Mean: f32 f64 i32 i64 u32 u64; Max and Min also i8 u8 bool.
/// Params:   legacy_axes (ReduceSum below opset 13, others below 18) instead of the input; no axes
///           mean all of them, or none with noop_with_empty_axes; keepdims.
/// Numerics: f32 sums are accumulated in double and rounded once; integer sums wrap, integer means
///           divide the sum (64 bits, wrapping) towards zero. NaN in a reduced set gives NaN. The
///           empty set gives 0 (Sum), NaN or integer 0 (Mean), -inf, lowest, false (Max), +inf,
///           highest, true (Min).
/// Errors:   invalid model: axis out of range; unsupported: dtype, axes known only at run time.
/// Cost:     reads x once; bound by memory.
/// Source:   ONNX ReduceMean-18, ReduceSum-13, ReduceMax-20, ReduceMin-20.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const ReduceParams& params = std::get<ReduceParams>(args.params);
  const TensorType& x = args.input(0);
  if (args.kind == OpKind::kReduceMax || args.kind == OpKind::kReduceMin) {
    require_dtype(x.dtype, kOrdered, "input");
  } else {
    require_dtype(x.dtype, kSummable, "input");
  }
  std::optional<std::vector<std::int64_t>> axes;
  if (args.has(1)) axes = to_ints(args.value(1), "axes");
  outputs[0] = {
      x.dtype, reduced_shape(x.shape, reduced_axes(params, x.shape.rank(), axes), params.keepdims)};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const MutableTensorView& y = args.outputs[0];
  std::optional<std::vector<std::int64_t>> input;
  if (args.has(1)) input = to_ints(args.inputs[1], "axes");
  const AxisSet axes = reduced_axes(std::get<ReduceParams>(args.params), x.shape.rank(), input);
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) {
      y.as<T>()[i] = reduce_one<T>(args.kind, x, axes, i);
    }
  });
}

}  // namespace prs::ops::reduce
