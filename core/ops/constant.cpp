#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::constant {

Params parse(const ParseArgs& args) {
  const Attributes& attributes = args.attributes;
  for (const char* name : {"sparse_value", "value_string", "value_strings"}) {
    if (attributes.has(name)) fail_unsupported("a constant given by the attribute '{}'", name);
  }
  if (auto value = attributes.find_tensor("value")) return ConstantParams{*value};
  if (auto value = attributes.find_float("value_float")) {
    return ConstantParams{Tensor::copy_of(DType::kFloat32, Shape{}, &*value, sizeof *value)};
  }
  if (auto value = attributes.find_int("value_int")) {
    return ConstantParams{Tensor::copy_of(DType::kInt64, Shape{}, &*value, sizeof *value)};
  }
  if (auto values = attributes.find_floats("value_floats")) {
    const Shape shape{static_cast<std::int64_t>(values->size())};
    return ConstantParams{Tensor::from<float>(DType::kFloat32, shape, *values)};
  }
  if (auto values = attributes.find_ints("value_ints")) {
    const Shape shape{static_cast<std::int64_t>(values->size())};
    return ConstantParams{Tensor::from<std::int64_t>(DType::kInt64, shape, *values)};
  }
  fail_model(
      "no value: expected one of the attributes value, value_float, value_floats, value_int, "
      "value_ints");
}

/// A value that the model file holds.
///
/// Shapes: -> y, the value's type and shape.
/// Params: value.
/// Errors: invalid model: no value; unsupported: strings, sparse tensors.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Constant-1, -9, -11 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const Tensor& value = std::get<ConstantParams>(args.params).value;
  outputs[0] = {value.dtype(), value.shape()};
}

void reference(const ReferenceArgs& args) {
  copy_elements(args.outputs[0], std::get<ConstantParams>(args.params).value.view());
}

}  // namespace prs::ops::constant
