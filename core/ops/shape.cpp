#include <algorithm>

#include "check.hpp"
#include "ops/op.hpp"

namespace prs::ops::shape {
namespace {

/// A bound counted from the end when negative, clamped to [0, rank].
std::int64_t clamp_bound(std::int64_t bound, std::int64_t rank) {
  return std::clamp(bound < 0 ? bound + rank : bound, std::int64_t{0}, rank);
}

std::int64_t first_axis(const ShapeParams& params, std::int64_t rank) {
  return clamp_bound(params.start, rank);
}

}  // namespace

Params parse(const ParseArgs& args) {
  if (args.opset < 15) return ShapeParams{};
  return ShapeParams{args.attributes.get_int("start", 0), args.attributes.find_int("end")};
}

/// The extents of a tensor, as a tensor.
///
/// Shapes: x any[...] of rank r -> y i64[max(0, end - start)].
/// Params: start, end: negative ones count from r; both are clamped to [0, r]. No end means r.
/// Cost:   nothing; x's contents are not read.
/// Source: ONNX Shape-1, -13, -15 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const auto& params = std::get<ShapeParams>(args.params);
  const std::int64_t rank = args.input(0).shape.rank();
  const std::int64_t start = first_axis(params, rank);
  const std::int64_t end = clamp_bound(params.end.value_or(rank), rank);
  outputs[0] = {DType::kInt64, Shape{std::max(std::int64_t{0}, end - start)}};
}

void reference(const ReferenceArgs& args) {
  const Shape& x = args.inputs[0].shape;
  const std::int64_t start = first_axis(std::get<ShapeParams>(args.params), x.rank());
  for (std::int64_t i = 0; i < args.outputs[0].shape[0]; ++i) {
    args.outputs[0].as<std::int64_t>()[i] = x[start + i];
  }
}

}  // namespace prs::ops::shape
