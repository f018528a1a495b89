#include <fmt/format.h>

#include <algorithm>

#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"
#include "ops/transpose.hpp"

namespace prs::ops::transpose {

Params parse(const ParseArgs& args) { return TransposeParams{args.attributes.get_ints("perm")}; }

std::vector<std::int64_t> permutation(const TransposeParams& params, std::int64_t rank) {
  std::vector<std::int64_t> perm = params.perm;
  if (perm.empty()) {
    for (std::int64_t axis = rank - 1; axis >= 0; --axis) perm.push_back(axis);
    return perm;
  }
  if (static_cast<std::int64_t>(perm.size()) != rank) {
    fail_model("perm has {} entries for an input of rank {}", perm.size(), rank);
  }
  for (std::int64_t axis = 0; axis < rank; ++axis) {
    if (std::find(perm.begin(), perm.end(), axis) == perm.end()) {
      fail_model("perm [{}] is no permutation of 0..{}", fmt::join(perm, ","), rank - 1);
    }
  }
  return perm;
}

/// Permutes the axes: y's axis i is x's axis perm[i].
///
/// Shapes: x any[...] -> y any[x's extents in the order of perm].
/// Params: perm, a permutation of 0..rank-1; empty reverses the axes.
/// Errors: invalid model: perm is no permutation.
/// Cost:   reads 1x, writes 1x; bound by memory.
/// Source: ONNX Transpose-1, -13 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  Shape shape;
  for (const std::int64_t axis :
       permutation(std::get<TransposeParams>(args.params), x.shape.rank())) {
    shape.push_back(x.shape[axis]);
  }
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const auto perm = permutation(std::get<TransposeParams>(args.params), x.shape.rank());
  for_each_index(args.outputs[0].shape, [&](std::int64_t position, const Index& index) {
    Index source{};
    for (std::size_t axis = 0; axis < perm.size(); ++axis) {
      source[static_cast<std::size_t>(perm[axis])] = index[axis];
    }
    copy_element(args.outputs[0], position, x, position_of(x.shape, source));
  });
}

}  // namespace prs::ops::transpose
