#include <algorithm>

#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::unsqueeze {

Params parse(const ParseArgs& args) {
  AxesParams params;
  if (args.opset < 13) {
    params.legacy_axes = args.attributes.find_ints("axes");
    if (!params.legacy_axes) fail_model("the attribute 'axes' is missing");
  }
  return params;
}

/// Inserts axes of extent 1.
///
/// Shapes: x any[...] of rank r, axes i64[A] -> y of rank r + A, with extent 1 at the axes of y
///         that are listed and x's extents, in order, at the others.
/// Params: legacy_axes in place of the input.
/// Errors: invalid model: an axis out of range for y's rank, or listed twice; unsupported: r + A
///         above 8, axes not known when compiling.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Unsqueeze-1, -11, -13 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<AxesParams>(args.params);
  const TensorType& x = args.input(0);
  const std::vector<std::int64_t> axes =
      params.legacy_axes ? *params.legacy_axes : to_ints(args.value(1), "the axes");
  const std::int64_t rank = x.shape.rank() + static_cast<std::int64_t>(axes.size());
  if (rank > Shape::kMaxRank) {
    fail_unsupported("a result of {} dimensions; at most {} are supported", rank, Shape::kMaxRank);
  }
  const std::vector<std::int64_t> inserted = normalize_axes(axes, rank);
  Shape shape;
  std::int64_t source = 0;
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    const bool listed = std::find(inserted.begin(), inserted.end(), axis) != inserted.end();
    shape.push_back(listed ? 1 : x.shape[source++]);
  }
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) { copy_elements(args.outputs[0], args.inputs[0]); }

}  // namespace prs::ops::unsqueeze
