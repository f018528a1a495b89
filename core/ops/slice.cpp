#include "ops/slice.hpp"

#include <algorithm>

#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::slice {
namespace {

AxisSlice resolve_axis(std::int64_t start, std::int64_t end, std::int64_t step,
                       std::int64_t extent) {
  if (extent == 0) return {};
  if (start < 0) start += extent;
  if (end < 0) end += extent;
  AxisSlice result;
  // The differences are divided before anything is added, so that no step overflows.
  if (step > 0) {
    start = std::clamp(start, std::int64_t{0}, extent);
    end = std::clamp(end, std::int64_t{0}, extent);
    result.extent = end > start ? (end - start - 1) / step + 1 : 0;
  } else {
    start = std::clamp(start, std::int64_t{0}, extent - 1);
    end = std::clamp(end, std::int64_t{-1}, extent - 1);
    result.extent = end < start ? (end - start + 1) / step + 1 : 0;
  }
  result.start = result.extent > 0 ? start : 0;
  result.step = result.extent > 1 ? step : 1;
  return result;
}

void require_length(const std::vector<std::int64_t>& list, const char* what, std::size_t length) {
  if (list.size() != length) {
    fail_model("{} starts, but {} {}; expected as many", length, list.size(), what);
  }
}

template <typename Args>
std::vector<AxisSlice> resolve_any(const Args& args, const Shape& x) {
  const auto& params = std::get<SliceParams>(args.params);
  const bool legacy = params.legacy_starts.has_value();
  const auto starts = legacy ? params.legacy_starts : find_ints(args, 1, "starts");
  const auto ends = legacy ? params.legacy_ends : find_ints(args, 2, "ends");
  const auto axes = legacy ? params.legacy_axes : find_ints(args, 3, "axes");
  const auto steps = legacy ? std::nullopt : find_ints(args, 4, "steps");
  if (!starts || !ends) fail_model("input {} is missing", starts ? 2 : 1);
  require_length(*ends, "ends", starts->size());
  if (axes) require_length(*axes, "axes", starts->size());
  if (steps) require_length(*steps, "steps", starts->size());
  if (static_cast<std::int64_t>(starts->size()) > x.rank()) {
    fail_model("{} starts for an input of rank {}", starts->size(), x.rank());
  }

  std::vector<AxisSlice> slices;
  for (const std::int64_t extent : x) slices.push_back({0, 1, extent});
  std::vector<std::int64_t> sliced;
  if (axes) {
    sliced = normalize_axes(*axes, x.rank());
  } else {
    for (std::size_t i = 0; i < starts->size(); ++i) sliced.push_back(static_cast<std::int64_t>(i));
  }
  for (std::size_t i = 0; i < sliced.size(); ++i) {
    const std::int64_t step = steps ? (*steps)[i] : 1;
    if (step == 0) fail_model("the step of axis {} is 0; expected any other", sliced[i]);
    slices[static_cast<std::size_t>(sliced[i])] =
        resolve_axis((*starts)[i], (*ends)[i], step, x[sliced[i]]);
  }
  return slices;
}

}  // namespace

std::vector<AxisSlice> resolve(const InferArgs& args) {
  return resolve_any(args, args.input(0).shape);
}
std::vector<AxisSlice> resolve(const ReferenceArgs& args) {
  return resolve_any(args, args.inputs[0].shape);
}

Params parse(const ParseArgs& args) {
  if (args.opset >= 10) return SliceParams{};
  SliceParams params{args.attributes.find_ints("starts"), args.attributes.find_ints("ends"),
                     args.attributes.find_ints("axes")};
  if (!params.legacy_starts) fail_model("the attribute 'starts' is missing");
  if (!params.legacy_ends) fail_model("the attribute 'ends' is missing");
  return params;
}

/// Every step-th index of some axes, from start up to and without end.
///
/// Shapes: x any[...]; starts, ends, axes (optional), steps (optional): i32 or i64 [A], A <= rank
///         -> y any[...]; each listed axis shrinks to the indices picked, possibly to 0.
///         Negative bounds count from the extent; both are then clamped to it. No axes means
///         0..A-1, no steps means 1. A negative step walks backwards.
/// Params: legacy_starts, legacy_ends, legacy_axes in place of the inputs.
/// Errors: invalid model: lengths differ, an axis out of range or listed twice, a step of 0;
///         unsupported: bounds not known when compiling.
/// Cost:   reads and writes 1x of what is picked; bound by memory.
/// Source: ONNX Slice-1, -10, -11, -13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  Shape shape;
  for (const AxisSlice& slice : resolve(args)) shape.push_back(slice.extent);
  outputs[0] = {args.input(0).dtype, shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const std::vector<AxisSlice> slices = resolve(args);
  for_each_index(args.outputs[0].shape, [&](std::int64_t position, Index index) {
    for (std::size_t axis = 0; axis < slices.size(); ++axis) {
      index[axis] = slices[axis].start + index[axis] * slices[axis].step;
    }
    copy_element(args.outputs[0], position, x, position_of(x.shape, index));
  });
}

}  // namespace prs::ops::slice
