#include "ops/quantize.hpp"

#include "check.hpp"
#include "ops/support.hpp"

namespace prs::ops {
namespace quantize {

Extents resolve(const QuantizeParams& params, const Shape& x, const Shape& scale,
                const Shape* zero_point) {
  if (zero_point != nullptr && zero_point->elements() != scale.elements()) {
    fail_model("zero point of shape {} for a scale of shape {}; expected equal shapes",
               zero_point->to_string(), scale.to_string());
  }
  if (scale.rank() == 0 || (scale.rank() == 1 && scale[0] == 1)) return {1, 1, x.elements()};
  if (scale.rank() != 1) {
    fail_unsupported("scale of shape {}; expected a scalar or one for each index of an axis",
                     scale.to_string());
  }
  const std::int64_t axis = normalize_axis(params.axis, x.rank());
  if (scale[0] != x[axis]) {
    fail_model("{} scales for axis {} of x of shape {}; expected 1 or {}", scale[0], axis,
               x.to_string(), x[axis]);
  }
  return {x.elements(0, axis), x[axis], x.elements(axis + 1, x.rank())};
}

namespace {

QuantizeParams parse_params(const ParseArgs& args) {
  QuantizeParams params;
  // Below opset 13 there is one scale for all.
  if (args.opset >= 13) params.axis = args.attributes.get_int("axis", 1);
  if (args.attributes.get_int("block_size", 0) != 0) {
    fail_unsupported("block_size is {}; blocks of scales are not supported",
                     args.attributes.get_int("block_size", 0));
  }
  return params;
}

const Shape* zero_point_shape(const InferArgs& args) {
  return args.has(2) ? &args.input(2).shape : nullptr;
}

}  // namespace

Params parse(const ParseArgs& args) {
  QuantizeParams params = parse_params(args);
  // Of 8-bit floats only.
  args.attributes.get_int("saturate", 1);
  const std::int64_t to = args.attributes.get_int("output_dtype", 0);
  if (to != 0) params.to = static_cast<DType>(to);
  return params;
}

/// y = saturate(round(x / scale) + zero point), rounded to nearest even in f32.
///
/// Shapes:   x f32[X...], scale f32[] or f32[x's extent of `axis`], zero point u8 or i8 of scale's
///           shape (optional) -> y, the zero point's type (else `to`), x's shape.
/// Params:   axis in [-rank, rank); to.
/// Numerics: exact; NaN becomes the smallest number.
/// Errors:   invalid model: shapes that do not fit; unsupported: types, blocks of scales.
/// Cost:     reads x, writes y once; bound by memory.
/// Source:   ONNX QuantizeLinear-10, -13, -19, -21, -23.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<QuantizeParams>(args.params);
  const TensorType& x = args.input(0);
  const TensorType& scale = args.input(1);
  if (x.dtype != DType::kFloat32) {
    fail_unsupported("x of type {}; expected f32", dtype_name(x.dtype));
  }
  if (scale.dtype != DType::kFloat32) {
    fail_unsupported("scale of type {}; expected f32", dtype_name(scale.dtype));
  }
  const DType to = args.has(2) ? args.input(2).dtype : params.to;
  require_dtype(to, kQuantized, "zero point");
  resolve(params, x.shape, scale.shape, zero_point_shape(args));
  outputs[0] = {to, x.shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const MutableTensorView& y = args.outputs[0];
  const Extents extents =
      resolve(std::get<QuantizeParams>(args.params), x.shape, args.inputs[1].shape,
              args.has(2) ? &args.inputs[2].shape : nullptr);
  for (std::int64_t i = 0; i < x.shape.elements(); ++i) {
    const std::int64_t c = i / extents.inner % extents.channels;
    const std::int32_t zero_point = args.has(2) ? element(args.inputs[2], c) : 0;
    store(y, i,
          quantize(x.as<float>()[i], args.inputs[1].as<float>()[c], zero_point, range(y.dtype)));
  }
}

}  // namespace quantize

namespace dequantize {
namespace {

constexpr DType kTypes[] = {DType::kUint8, DType::kInt8, DType::kInt32};

}  // namespace

Params parse(const ParseArgs& args) {
  const std::int64_t to = args.attributes.get_int("output_dtype", 0);
  if (to != 0 && static_cast<DType>(to) != DType::kFloat32) {
    fail_unsupported("output_dtype is {}; expected f32", dtype_name(static_cast<DType>(to)));
  }
  return quantize::parse_params(args);
}

/// y = (x - zero point) * scale.
///
/// Shapes:   x u8, i8 or i32[X...], scale f32[] or f32[x's extent of `axis`], zero point of x's
/// type
///           and scale's shape (optional) -> y f32[X...].
/// Params:   axis in [-rank, rank).
/// Numerics: |y - ref| <= 2u * |y|, u = 2^-24; i32 is rounded to f32 first.
/// Errors:   invalid model: shapes and types that do not fit; unsupported: types, blocks of scales.
/// Cost:     reads x, writes y once; bound by memory.
/// Source:   ONNX DequantizeLinear-10, -13, -19, -21, -23.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  const TensorType& scale = args.input(1);
  require_dtype(x.dtype, kTypes, "x");
  if (scale.dtype != DType::kFloat32) {
    fail_unsupported("scale of type {}; expected f32", dtype_name(scale.dtype));
  }
  if (args.has(2) && args.input(2).dtype != x.dtype) {
    fail_model("zero point of type {} for x of type {}; expected the same",
               dtype_name(args.input(2).dtype), dtype_name(x.dtype));
  }
  quantize::resolve(std::get<QuantizeParams>(args.params), x.shape, scale.shape,
                    quantize::zero_point_shape(args));
  outputs[0] = {DType::kFloat32, x.shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const quantize::Extents extents =
      quantize::resolve(std::get<QuantizeParams>(args.params), x.shape, args.inputs[1].shape,
                        args.has(2) ? &args.inputs[2].shape : nullptr);
  const auto value = [&](const TensorView& tensor, std::int64_t i) -> std::int64_t {
    return tensor.dtype == DType::kInt32 ? tensor.as<std::int32_t>()[i]
                                         : quantize::element(tensor, i);
  };
  for (std::int64_t i = 0; i < x.shape.elements(); ++i) {
    const std::int64_t c = i / extents.inner % extents.channels;
    const std::int64_t steps = value(x, i) - (args.has(2) ? value(args.inputs[2], c) : 0);
    args.outputs[0].as<float>()[i] = static_cast<float>(
        static_cast<double>(steps) * static_cast<double>(args.inputs[1].as<float>()[c]));
  }
}

}  // namespace dequantize
}  // namespace prs::ops
