#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::flatten {

Params parse(const ParseArgs& args) { return FlattenParams{args.attributes.get_int("axis", 1)}; }

/// The axes before `axis` as one, the others as another.
///
/// Shapes: x any[d0, d1, ...] -> y any[d0 * .. * d(axis-1), d(axis) * ..].
/// Params: axis in [-rank, rank].
/// Errors: invalid model: axis out of range.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Flatten-1, -9, -11 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  const std::int64_t rank = x.shape.rank();
  std::int64_t axis = std::get<FlattenParams>(args.params).axis;
  if (axis < -rank || axis > rank) {
    fail_model("axis {} out of range for rank {}; expected {}..{}", axis, rank, -rank, rank);
  }
  if (axis < 0) axis += rank;
  outputs[0] = {x.dtype, Shape{x.shape.elements(0, axis), x.shape.elements(axis, rank)}};
}

void reference(const ReferenceArgs& args) { copy_elements(args.outputs[0], args.inputs[0]); }

}  // namespace prs::ops::flatten
