#include "ops/gather.hpp"

#include "check.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::gather {
namespace {

std::int64_t index_at(const TensorView& indices, std::int64_t i) {
  return indices.dtype == DType::kInt32 ? indices.as<std::int32_t>()[i]
                                        : indices.as<std::int64_t>()[i];
}

}  // namespace

Params parse(const ParseArgs& args) { return GatherParams{args.attributes.get_int("axis", 0)}; }

/// Picks slices of x along one axis: y[o.., i.., n..] = x[o.., indices[i..], n..].
///
/// Shapes: x any[O.., A, N..], indices i32 or i64 [I..] -> y any[O.., I.., N..].
/// Params: axis in [-rank, rank).
/// Errors: invalid model: axis out of range, indices of another type, a constant index outside
///         [-A, A); unsupported: more than 8 result dimensions. When running: invalid argument for
///         an index outside [-A, A).
/// Cost:   reads 1x of what is picked, writes 1x; bound by memory.
/// Source: ONNX Gather-1, -11, -13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  const TensorType& indices = args.input(1);
  const std::int64_t axis =
      normalize_axis(std::get<GatherParams>(args.params).axis, x.shape.rank());
  if (indices.dtype != DType::kInt32 && indices.dtype != DType::kInt64) {
    fail_model("the indices must be i64 or i32, not {}", dtype_name(indices.dtype));
  }
  if (const Tensor* constant = args.inputs[1].constant) {
    for (std::int64_t i = 0; i < constant->elements(); ++i) {
      normalize_index(index_at(constant->view(), i), axis, x.shape[axis], ErrorCode::kInvalidModel);
    }
  }
  Shape shape;
  for (std::int64_t i = 0; i < axis; ++i) shape.push_back(x.shape[i]);
  for (const std::int64_t extent : indices.shape) shape.push_back(extent);
  for (std::int64_t i = axis + 1; i < x.shape.rank(); ++i) shape.push_back(x.shape[i]);
  shape.elements();
  outputs[0] = {x.dtype, shape};
}

void reference(const ReferenceArgs& args) {
  const TensorView& x = args.inputs[0];
  const TensorView& indices = args.inputs[1];
  const std::int64_t axis =
      normalize_axis(std::get<GatherParams>(args.params).axis, x.shape.rank());
  for_each_index(args.outputs[0].shape, [&](std::int64_t position, const Index& index) {
    Index source{};
    Index which{};
    std::size_t next = 0;
    for (std::int64_t i = 0; i < axis; ++i) source[static_cast<std::size_t>(i)] = index[next++];
    for (std::int64_t i = 0; i < indices.shape.rank(); ++i) {
      which[static_cast<std::size_t>(i)] = index[next++];
    }
    for (std::int64_t i = axis + 1; i < x.shape.rank(); ++i) {
      source[static_cast<std::size_t>(i)] = index[next++];
    }
    source[static_cast<std::size_t>(axis)] =
        normalize_index(index_at(indices, position_of(indices.shape, which)), axis, x.shape[axis],
                        ErrorCode::kInvalidArgument);
    copy_element(args.outputs[0], position, x, position_of(x.shape, source));
  });
}

}  // namespace prs::ops::gather
