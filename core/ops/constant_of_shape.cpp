#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::constant_of_shape {

Params parse(const ParseArgs& args) {
  if (auto value = args.attributes.find_tensor("value")) {
    if (value->elements() != 1) {
      fail_model("the attribute 'value' must hold one element, not {}", value->shape().to_string());
    }
    return ConstantOfShapeParams{*value};
  }
  const float zero = 0.0F;
  return ConstantOfShapeParams{Tensor::copy_of(DType::kFloat32, Shape{}, &zero, sizeof zero)};
}

/// A tensor full of one value.
///
/// Shapes: shape i64[R] -> y [R extents] of value's type; R <= 8, a scalar for R = 0.
/// Params: value, one element of any type.
/// Errors: invalid model: a negative extent; invalid argument: too many elements; unsupported: a
///         shape not known when compiling.
/// Cost:   writes 1x; bound by memory.
/// Source: ONNX ConstantOfShape-9, -20 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  Shape shape;
  for (const std::int64_t extent : to_ints(args.value(0), "the shape")) {
    if (extent < 0) {
      fail_model("extent {} of the shape is {}; expected 0 or more", shape.rank(), extent);
    }
    shape.push_back(extent);
  }
  shape.elements();
  outputs[0] = {std::get<ConstantOfShapeParams>(args.params).value.dtype(), shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView value = std::get<ConstantOfShapeParams>(args.params).value.view();
  const std::int64_t count = args.outputs[0].shape.elements();
  for (std::int64_t i = 0; i < count; ++i) copy_element(args.outputs[0], i, value, 0);
}

}  // namespace prs::ops::constant_of_shape
