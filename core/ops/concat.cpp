#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::concat {

Params parse(const ParseArgs& args) {
  const auto axis = args.attributes.find_int("axis");
  if (!axis && args.opset >= 4) fail_model("the attribute 'axis' is missing");
  return ConcatParams{axis.value_or(1)};
}

/// Joins tensors along one axis.
///
/// Shapes: x_k any[.., A_k, ..], all of one type and equal in the other extents
///         -> y any[.., A_0 + A_1 + .., ..].
/// Params: axis in [-rank, rank).
/// Errors: invalid model: ranks, extents or types differ, axis out of range, scalars.
/// Cost:   reads 1x, writes 1x; bound by memory.
/// Source: ONNX Concat-1, -4, -11, -13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& first = args.input(0);
  const std::int64_t rank = first.shape.rank();
  if (rank == 0) fail_model("input 0 is a scalar; scalars cannot be concatenated");
  const std::int64_t axis = normalize_axis(std::get<ConcatParams>(args.params).axis, rank);
  Shape shape = first.shape;
  for (std::size_t k = 1; k < args.inputs.size(); ++k) {
    const TensorType& part = args.input(k);
    if (part.dtype != first.dtype) {
      fail_model("input {} is of type {}, input 0 of type {}", k, dtype_name(part.dtype),
                 dtype_name(first.dtype));
    }
    Shape expected = part.shape;
    if (expected.rank() == rank) expected.set(axis, first.shape[axis]);
    if (expected != first.shape) {
      fail_model("input {} {} and input 0 {} must be equal but for axis {}", k,
                 part.shape.to_string(), first.shape.to_string(), axis);
    }
    shape.set(axis, add_extents(shape[axis], part.shape[axis]));
  }
  shape.elements();
  outputs[0] = {first.dtype, shape};
}

void reference(const ReferenceArgs& args) {
  const MutableTensorView& y = args.outputs[0];
  const auto axis = static_cast<std::size_t>(
      normalize_axis(std::get<ConcatParams>(args.params).axis, y.shape.rank()));
  std::int64_t offset = 0;
  for (const TensorView& part : args.inputs) {
    for_each_index(part.shape, [&](std::int64_t position, Index index) {
      index[axis] += offset;
      copy_element(y, position_of(y.shape, index), part, position);
    });
    offset += part.shape[static_cast<std::int64_t>(axis)];
  }
}

}  // namespace prs::ops::concat
