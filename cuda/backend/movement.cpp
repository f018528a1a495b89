// Plans of the operators that move elements, for all element types by their size; of Cast; and of
// those whose results are known beforehand.
#include <array>
#include <cstring>

#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/cast.hpp"
#include "ops/gather.hpp"
#include "ops/pad.hpp"
#include "ops/slice.hpp"
#include "ops/support.hpp"
#include "ops/transpose.hpp"

namespace prs::cuda {
namespace {

std::uint64_t bits_of(const void* element, std::int64_t bytes) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, element, static_cast<std::size_t>(bytes));
  return bits;
}

/// y, dense, from x by strides; `offset` and strides count elements.
Plan plan_strided(const TensorType& y, std::span<const std::int64_t> strides, std::int64_t offset) {
  const std::int64_t size = dtype_size(y.dtype);
  const auto to_strides = ops::row_major_strides(y.shape);
  CopyArgs args{};
  args.count = y.shape.elements();
  for (std::int64_t axis = 0; axis < y.shape.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    push_loop(args.loops, y.shape[axis], {strides[i], to_strides[i]});
  }
  return plan_kernel(by_size(KernelId::kCopyB8, size), grid_for(args.count), args, args.count,
                     [from = offset * size](CopyArgs& complete, const StepArgs& step) {
                       complete.from = step.in<std::byte>(0) + from;
                       complete.to = step.outputs[0];
                     });
}

/// Output 0 is the same in every run.
Plan plan_known(const Call& call, const void* data, std::int64_t bytes) {
  Plan copy = plan_copy(call.outputs[0]);
  Plan plan;
  plan.kernel = copy.kernel;
  plan.run = [copy = copy.run, value = call.constants.upload(data, bytes)](const StepArgs& step) {
    const void* input = value.get();
    StepArgs known = step;
    known.inputs = &input;
    copy(known);
  };
  return plan;
}

/// Output `output` filled with one element.
Plan plan_fill(const TensorType& type, std::size_t output, std::uint64_t bits) {
  FillArgs args{};
  args.count = type.shape.elements();
  args.bits = bits;
  return plan_kernel(
      by_size(KernelId::kFillB8, dtype_size(type.dtype)), grid_for(args.count), args, args.count,
      [output](FillArgs& complete, const StepArgs& step) { complete.to = step.outputs[output]; });
}

}  // namespace

Plan plan_reshape(const Call& call) { return plan_copy(call.outputs[0]); }
Plan plan_flatten(const Call& call) { return plan_copy(call.outputs[0]); }
Plan plan_squeeze(const Call& call) { return plan_copy(call.outputs[0]); }
Plan plan_unsqueeze(const Call& call) { return plan_copy(call.outputs[0]); }

Plan plan_identity(const Call& call) {
  if (!call.wants(1)) return plan_copy(call.outputs[0]);
  const TensorType& mask = call.outputs[1];
  std::array<std::byte, 8> one{};
  const float value = 1.0F;
  ops::cast::convert({DType::kFloat32, Shape{}, &value}, {mask.dtype, Shape{}, one.data()});
  Plan fill = plan_fill(mask, 1, bits_of(one.data(), dtype_size(mask.dtype)));
  if (!call.wants(0)) return fill;
  Plan plan = plan_copy(call.outputs[0]);
  plan.kernel += "+" + fill.kernel;
  plan.run = [copy = plan.run, fill = fill.run](const StepArgs& step) {
    copy(step);
    fill(step);
  };
  return plan;
}

Plan plan_constant(const Call& call) {
  const Tensor& value = std::get<ConstantParams>(call.params).value;
  return plan_known(call, value.data(), value.bytes());
}

Plan plan_shape(const Call& call) {
  // The extents are known here; the reference computes them from a view without data.
  const TensorView x{call.inputs[0].type.dtype, call.inputs[0].type.shape, nullptr};
  std::array<std::int64_t, Shape::kMaxRank> extents{};
  const MutableTensorView y{DType::kInt64, call.outputs[0].shape, extents.data()};
  op_def(call.kind).reference({call.kind, call.params, {&x, 1}, {&y, 1}});
  return plan_known(call, extents.data(), y.bytes());
}

Plan plan_constant_of_shape(const Call& call) {
  const Tensor& value = std::get<ConstantOfShapeParams>(call.params).value;
  return plan_fill(call.outputs[0], 0, bits_of(value.data(), dtype_size(value.dtype())));
}

Plan plan_cast(const Call& call) {
  static_assert(static_cast<int>(Element::kBF16) == static_cast<int>(DType::kBFloat16));
  const TensorType& x = call.inputs[0].type;
  const TensorType& y = call.outputs[0];
  if (x.dtype == y.dtype) return plan_copy(y);
  CastArgs args{};
  args.count = y.shape.elements();
  args.from = static_cast<Element>(x.dtype);
  args.to = static_cast<Element>(y.dtype);
  return plan_kernel(KernelId::kCast, grid_for(args.count), args, args.count,
                     [](CastArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.y = step.outputs[0];
                     });
}

Plan plan_transpose(const Call& call) {
  const Shape& x = call.inputs[0].type.shape;
  const auto x_strides = ops::row_major_strides(x);
  std::vector<std::int64_t> strides;
  for (const std::int64_t axis :
       ops::transpose::permutation(std::get<TransposeParams>(call.params), x.rank())) {
    strides.push_back(x_strides[static_cast<std::size_t>(axis)]);
  }
  return plan_strided(call.outputs[0], strides, 0);
}

Plan plan_slice(const Call& call) {
  std::vector<std::int64_t> strides = ops::row_major_strides(call.inputs[0].type.shape);
  std::int64_t offset = 0;
  std::size_t axis = 0;
  for (const auto& slice : ops::slice::resolve(InferArgs{call.kind, call.params, call.inputs})) {
    offset += slice.start * strides[axis];
    strides[axis++] *= slice.step;
  }
  return plan_strided(call.outputs[0], strides, offset);
}

/// One launch an operand: rows of its own length into rows of y's.
Plan plan_concat(const Call& call) {
  const TensorType& y = call.outputs[0];
  const std::int64_t rank = y.shape.rank();
  const std::int64_t axis = ops::normalize_axis(std::get<ConcatParams>(call.params).axis, rank);
  const std::int64_t size = dtype_size(y.dtype);
  const std::int64_t outer = y.shape.elements(0, axis);
  const std::int64_t y_row = y.shape.elements(axis, rank);
  struct Part {
    CopyArgs args;
    std::int64_t to_bytes;
  };
  std::vector<Part> parts;
  std::int64_t at = 0;
  for (const InputInfo& input : call.inputs) {
    const std::int64_t row = input.type.shape.elements(axis, rank);
    Part part{};
    part.args.count = outer * row;
    part.to_bytes = at * size;
    push_loop(part.args.loops, outer, {row, y_row});
    push_loop(part.args.loops, row, {1, 1});
    parts.push_back(part);
    at += row;
  }
  const KernelId kernel = by_size(KernelId::kCopyB8, size);
  Plan plan;
  plan.kernel = kernel_name(kernel);
  plan.run = [parts, kernel](const StepArgs& step) {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      CopyArgs args = parts[i].args;
      if (args.count == 0) continue;
      args.from = step.inputs[i];
      args.to = step.out<std::byte>(0) + parts[i].to_bytes;
      step.launch(kernel, grid_for(args.count), args);
    }
  };
  return plan;
}

Plan plan_gather(const Call& call) {
  const TensorType& x = call.inputs[0].type;
  const TensorType& indices = call.inputs[1].type;
  const std::int64_t rank = x.shape.rank();
  const std::int64_t axis = ops::normalize_axis(std::get<GatherParams>(call.params).axis, rank);
  GatherArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.extent = x.shape[axis];
  args.number = indices.shape.elements();
  args.slice = x.shape.elements(axis + 1, rank);
  args.narrow = indices.dtype == DType::kInt32;
  args.step = static_cast<unsigned>(call.step) + 1;
  Plan plan = plan_kernel(by_size(KernelId::kGatherB8, dtype_size(x.dtype)), grid_for(args.count),
                          args, args.count, [](GatherArgs& complete, const StepArgs& step) {
                            complete.x = step.inputs[0];
                            complete.indices = step.inputs[1];
                            complete.y = step.outputs[0];
                            complete.complaint = step.complaint;
                          });
  plan.complaint = [axis, extent = args.extent](std::int64_t index) -> std::string {
    try {
      ops::gather::normalize_index(index, axis, extent, ErrorCode::kInvalidArgument);
    } catch (const Error& error) {
      return error.message();
    }
    PRS_CHECK(false);
  };
  return plan;
}

Plan plan_pad(const Call& call) {
  static_assert(static_cast<int>(PadMode::kWrap) == static_cast<int>(PadParams::Mode::kWrap));
  const auto& params = std::get<PadParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const auto strides = ops::row_major_strides(x.shape);
  PadArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.bits = bits_of(ops::pad::default_value(params, x.dtype).data(), dtype_size(x.dtype));
  args.mode = static_cast<PadMode>(params.mode);
  for (const auto& axis : ops::pad::resolve(InferArgs{call.kind, call.params, call.inputs})) {
    const int i = args.rank++;
    args.extents[i] = axis.extent();
    args.first[i] = axis.first;
    args.kept[i] = axis.kept;
    args.before[i] = axis.before;
    args.strides[i] = strides[static_cast<std::size_t>(i)];
  }
  return plan_kernel(by_size(KernelId::kPadB8, dtype_size(x.dtype)), grid_for(args.count), args,
                     args.count, [given = call.has(2)](PadArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.y = step.outputs[0];
                       if (given) complete.value = step.inputs[2];
                     });
}

}  // namespace prs::cuda
