#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::reshape {

Params parse(const ParseArgs& args) {
  ReshapeParams params;
  if (args.opset < 5) {
    params.legacy_shape = args.attributes.find_ints("shape");
    if (!params.legacy_shape) fail_model("the attribute 'shape' is missing");
  } else if (args.opset >= 14) {
    params.allowzero = args.attributes.get_int("allowzero", 0) != 0;
  }
  return params;
}

/// The same elements under another shape.
///
/// Shapes: x any[...], shape i64[R] -> y any[R extents] with as many elements; R <= 8.
///         An extent 0 copies x's extent of that axis, or means 0 with allowzero; one extent may
///         be -1 and takes what remains.
/// Params: allowzero; legacy_shape in place of the input.
/// Errors: invalid model: the element counts differ, -1 twice or not determined, an extent below
///         -1, a 0 beyond x's rank; unsupported: the shape is not known when compiling.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Reshape-1, -5, -13, -14 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<ReshapeParams>(args.params);
  const TensorType& x = args.input(0);
  const std::vector<std::int64_t> wanted =
      params.legacy_shape ? *params.legacy_shape : to_ints(args.value(1), "the new shape");
  Shape shape;
  std::int64_t open = -1;
  for (std::int64_t extent : wanted) {
    const std::int64_t axis = shape.rank();
    if (extent < -1)
      fail_model("extent {} of the new shape is {}; expected -1 or more", axis, extent);
    if (extent == -1) {
      if (open >= 0) fail_model("extents {} and {} of the new shape are both -1", open, axis);
      open = axis;
      extent = 1;
    } else if (extent == 0 && !params.allowzero) {
      if (axis >= x.shape.rank()) {
        fail_model(
            "extent {} of the new shape is 0, which copies an extent, but the input {} has "
            "only {} dimensions",
            axis, x.shape.to_string(), x.shape.rank());
      }
      extent = x.shape[axis];
    }
    shape.push_back(extent);
  }
  const std::int64_t total = x.shape.elements();
  const std::int64_t known = shape.elements();
  if (open >= 0) {
    if (known == 0 || total % known != 0) {
      fail_model(
          "extent {} of the new shape is -1, but the {} elements of {} do not spread over {} "
          "in the other extents",
          open, total, x.shape.to_string(), known);
    }
    shape.set(open, total / known);
  } else if (known != total) {
    fail_model("the input {} has {} elements, the new shape {} has {}", x.shape.to_string(), total,
               shape.to_string(), known);
  }
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) { copy_elements(args.outputs[0], args.inputs[0]); }

}  // namespace prs::ops::reshape
