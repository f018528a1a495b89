#include <algorithm>

#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::squeeze {

Params parse(const ParseArgs& args) {
  AxesParams params;
  if (args.opset < 13) params.legacy_axes = args.attributes.find_ints("axes");
  return params;
}

/// Drops axes of extent 1.
///
/// Shapes: x any[...], axes i64[A] (optional) -> y: x's shape without those axes, or without any
///         extent 1 when no axes are given. An empty list drops nothing.
/// Params: legacy_axes in place of the input.
/// Errors: invalid model: an axis out of range, listed twice, or of another extent than 1;
///         unsupported: axes not known when compiling.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Squeeze-1, -11, -13 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<AxesParams>(args.params);
  const TensorType& x = args.input(0);
  const auto axes = params.legacy_axes ? params.legacy_axes : find_ints(args, 1, "the axes");
  std::vector<std::int64_t> dropped;
  if (axes) dropped = normalize_axes(*axes, x.shape.rank());
  Shape shape;
  for (std::int64_t axis = 0; axis < x.shape.rank(); ++axis) {
    const bool listed = std::find(dropped.begin(), dropped.end(), axis) != dropped.end();
    if (listed && x.shape[axis] != 1) {
      fail_model("axis {} of {} has extent {}; only an extent of 1 can be squeezed", axis,
                 x.shape.to_string(), x.shape[axis]);
    }
    if (axes ? !listed : x.shape[axis] != 1) shape.push_back(x.shape[axis]);
  }
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) { copy_elements(args.outputs[0], args.inputs[0]); }

}  // namespace prs::ops::squeeze
