#include "ops/pad.hpp"

#include <algorithm>

#include "check.hpp"
#include "ops/cast.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::pad {
namespace {

PadParams::Mode parse_mode(const std::string& mode) {
  if (mode == "constant") return PadParams::Mode::kConstant;
  if (mode == "reflect") return PadParams::Mode::kReflect;
  if (mode == "edge") return PadParams::Mode::kEdge;
  if (mode == "wrap") return PadParams::Mode::kWrap;
  fail_model("unknown mode '{}'; expected constant, reflect, edge or wrap", mode);
}

AxisPad resolve_axis(std::int64_t begin, std::int64_t end, std::int64_t axis, std::int64_t extent,
                     PadParams::Mode mode) {
  AxisPad result;
  const std::int64_t crop_begin = std::min(begin, std::int64_t{0});
  const std::int64_t crop_end = std::min(end, std::int64_t{0});
  if (crop_begin < -extent || crop_end < -extent - crop_begin) {
    fail_model("pads {} and {} crop more than the extent {} of axis {}", begin, end, extent, axis);
  }
  result.first = -crop_begin;
  result.kept = extent + crop_begin + crop_end;
  result.before = std::max(begin, std::int64_t{0});
  result.after = std::max(end, std::int64_t{0});
  add_extents(add_extents(result.before, result.kept), result.after);
  if (mode != PadParams::Mode::kConstant && result.kept == 0 && result.extent() > 0) {
    fail_model("axis {} has no elements to fill its pads {} and {} with; only mode constant can",
               axis, begin, end);
  }
  return result;
}

template <typename Args>
std::vector<AxisPad> resolve_any(const Args& args, const Shape& x) {
  const auto& params = std::get<PadParams>(args.params);
  const bool legacy = params.legacy_pads.has_value();
  const auto pads = legacy ? params.legacy_pads : find_ints(args, 1, "the pads");
  const auto axes = legacy ? std::nullopt : find_ints(args, 3, "the axes");
  if (!pads) fail_model("input 1 is missing");

  std::vector<std::int64_t> padded;
  if (axes) {
    padded = normalize_axes(*axes, x.rank());
  } else {
    for (std::int64_t axis = 0; axis < x.rank(); ++axis) padded.push_back(axis);
  }
  const std::size_t count = padded.size();
  if (pads->size() != 2 * count) {
    fail_model("{} pads for {} axes; expected {}, all begins and then all ends", pads->size(),
               count, 2 * count);
  }
  std::vector<AxisPad> result;
  for (const std::int64_t extent : x) result.push_back({0, extent, 0, 0});
  for (std::size_t i = 0; i < count; ++i) {
    result[static_cast<std::size_t>(padded[i])] =
        resolve_axis((*pads)[i], (*pads)[count + i], padded[i], x[padded[i]], params.mode);
  }
  return result;
}

}  // namespace

std::vector<AxisPad> resolve(const InferArgs& args) {
  return resolve_any(args, args.input(0).shape);
}
std::vector<AxisPad> resolve(const ReferenceArgs& args) {
  return resolve_any(args, args.inputs[0].shape);
}

std::int64_t source_index(PadParams::Mode mode, const AxisPad& axis, std::int64_t position) {
  const std::int64_t p = position - axis.before;
  const std::int64_t n = axis.kept;
  if (p >= 0 && p < n) return axis.first + p;
  const auto modulo = [](std::int64_t a, std::int64_t b) { return (a % b + b) % b; };
  switch (mode) {
    case PadParams::Mode::kConstant:
      return -1;
    case PadParams::Mode::kEdge:
      return axis.first + (p < 0 ? 0 : n - 1);
    case PadParams::Mode::kWrap:
      return axis.first + modulo(p, n);
    case PadParams::Mode::kReflect: {
      if (n == 1) return axis.first;
      const std::int64_t period = 2 * (n - 1);
      const std::int64_t phase = modulo(p, period);
      return axis.first + (phase < n ? phase : period - phase);
    }
  }
  PRS_CHECK(false);
}

std::array<std::byte, 8> default_value(const PadParams& params, DType dtype) {
  std::array<std::byte, 8> bytes{};
  cast::convert({DType::kFloat32, Shape{}, &params.legacy_value}, {dtype, Shape{}, bytes.data()});
  return bytes;
}

Params parse(const ParseArgs& args) {
  PadParams params;
  params.mode = parse_mode(args.attributes.get_string("mode", "constant"));
  if (args.opset < 11) {
    const char* name = args.opset < 2 ? "paddings" : "pads";
    params.legacy_pads = args.attributes.find_ints(name);
    if (!params.legacy_pads) fail_model("the attribute '{}' is missing", name);
    params.legacy_value = args.attributes.get_float("value", 0.0F);
  }
  return params;
}

/// Adds elements around a tensor; negative pads crop, before anything is added.
///
/// Shapes: x any[...], pads i64[2A] (all begins, then all ends), value any[] (optional), axes
///         i32 or i64 [A] (optional; default all) -> y any[...], each listed axis longer by both
///         its pads.
/// Params: mode: constant; edge repeats the outermost elements; reflect mirrors at them without
///         repeating them (again and again when a pad exceeds the extent; an extent of 1 acts as
///         edge); wrap repeats the tensor. legacy_pads and legacy_value in place of the inputs.
/// Errors: invalid model: number of pads, axis out of range or listed twice, cropping more than
///         there is, a value of another type, filling from an extent of 0; invalid argument: too
///         many elements; unsupported: pads or axes not known when compiling.
/// Cost:   reads 1x, writes 1x; bound by memory.
/// Source: ONNX Pad-1, -2, -11, -13, -18, -19 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  if (args.has(2)) {
    const TensorType& value = args.input(2);
    if (value.dtype != x.dtype || value.shape.elements() != 1) {
      fail_model("the constant value is {}{}; expected one element of type {}",
                 dtype_name(value.dtype), value.shape.to_string(), dtype_name(x.dtype));
    }
  }
  Shape shape;
  for (const AxisPad& axis : resolve(args)) shape.push_back(axis.extent());
  shape.elements();
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) {
  const auto& params = std::get<PadParams>(args.params);
  const TensorView& x = args.inputs[0];
  const std::vector<AxisPad> axes = resolve(args);
  const std::array<std::byte, 8> zero = default_value(params, x.dtype);
  const TensorView value = args.has(2) ? args.inputs[2] : TensorView{x.dtype, Shape{}, zero.data()};
  for_each_index(args.outputs[0].shape, [&](std::int64_t position, Index index) {
    bool inside = true;
    for (std::size_t axis = 0; axis < axes.size(); ++axis) {
      index[axis] = source_index(params.mode, axes[axis], index[axis]);
      inside = inside && index[axis] >= 0;
    }
    if (inside) {
      copy_element(args.outputs[0], position, x, position_of(x.shape, index));
    } else {
      copy_element(args.outputs[0], position, value, 0);
    }
  });
}

}  // namespace prs::ops::pad
