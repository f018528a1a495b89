// Plans of the elementwise operators, in f32.
#include <array>
#include <limits>
#include <numeric>

#include "backend/plan.hpp"
#include "check.hpp"
#include "ops/batch_norm.hpp"
#include "ops/binary.hpp"
#include "ops/normalize.hpp"
#include "ops/support.hpp"

namespace prs::cuda {
namespace {

BinaryFunction binary_function(OpKind kind) {
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kSum:
      return BinaryFunction::kAdd;
    case OpKind::kSub:
      return BinaryFunction::kSub;
    case OpKind::kMul:
      return BinaryFunction::kMul;
    case OpKind::kDiv:
      return BinaryFunction::kDiv;
    case OpKind::kMax:
      return BinaryFunction::kMax;
    default:
      PRS_CHECK(kind == OpKind::kMin);
      return BinaryFunction::kMin;
  }
}

BinaryArgs binary_args(BinaryFunction function, const Shape& a, const Shape& b, const Shape& y) {
  BinaryArgs args{};
  args.function = function;
  args.count = y.elements();
  const auto a_strides = ops::broadcast_strides(a, y);
  const auto b_strides = ops::broadcast_strides(b, y);
  for (std::int64_t axis = 0; axis < y.rank(); ++axis) {
    const auto i = static_cast<std::size_t>(axis);
    push_loop(args.loops, y[axis], {a_strides[i], b_strides[i]});
  }
  return args;
}

Plan plan_unary_function(const Call& call, Epilogue function) {
  require_f32(call, kFirst);
  UnaryArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.function = function;
  Plan plan = plan_kernel(KernelId::kUnary, grid_for(args.count), args, args.count,
                          [](UnaryArgs& complete, const StepArgs& step) {
                            complete.x = step.in<float>(0);
                            complete.y = step.out<float>(0);
                          });
  plan.in_place = true;
  return plan;
}

}  // namespace

Plan plan_unary(const Call& call) {
  Epilogue function;
  switch (call.kind) {
    case OpKind::kNeg:
      function.function = Function::kNegate;
      break;
    case OpKind::kRelu:
      function.function = Function::kRelu;
      break;
    case OpKind::kLeakyRelu:
      function.function = Function::kLeakyRelu;
      function.alpha = std::get<UnaryParams>(call.params).alpha;
      break;
    case OpKind::kSigmoid:
      function.function = Function::kSigmoid;
      break;
    default:
      PRS_CHECK(call.kind == OpKind::kTanh);
      function.function = Function::kTanh;
  }
  return plan_unary_function(call, function);
}

Plan plan_clip(const Call& call) {
  const auto& params = std::get<ClipParams>(call.params);
  require_f32(call, kFirst);
  UnaryArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.function = {Function::kClip,
                   params.legacy_min.value_or(std::numeric_limits<float>::lowest()),
                   params.legacy_max.value_or(std::numeric_limits<float>::max())};
  const bool low = !params.legacy_min && call.has(1);
  const bool high = !params.legacy_max && call.has(2);
  Plan plan = plan_kernel(KernelId::kUnary, grid_for(args.count), args, args.count,
                          [low, high](UnaryArgs& complete, const StepArgs& step) {
                            complete.x = step.in<float>(0);
                            complete.y = step.out<float>(0);
                            if (low) complete.low = step.in<float>(1);
                            if (high) complete.high = step.in<float>(2);
                          });
  plan.in_place = true;
  return plan;
}

Plan plan_binary(const Call& call) {
  const auto& params = std::get<BinaryParams>(call.params);
  require_f32(call, kFirst);
  const Shape& a = call.inputs[0].type.shape;
  const Shape b = ops::binary::aligned_shape(params, a, call.inputs[1].type.shape);
  BinaryArgs args = binary_args(binary_function(call.kind), a, b, call.outputs[0].shape);
  args.epilogue = epilogue_of(params.activation);
  Plan plan = plan_kernel(KernelId::kBinary, grid_for(args.count), args, args.count,
                          [](BinaryArgs& complete, const StepArgs& step) {
                            complete.a = step.in<float>(0);
                            complete.b = step.in<float>(1);
                            complete.y = step.out<float>(0);
                          });
  // Broadcast, an element of A is read again after its place was written.
  plan.in_place = a == call.outputs[0].shape;
  return plan;
}

/// Max, Min and Sum of any number of operands: y = op(y, next), one launch an operand.
Plan plan_variadic(const Call& call) {
  require_f32(call, kFirst);
  const Shape& y = call.outputs[0].shape;
  if (call.inputs.size() == 1) return plan_copy(call.outputs[0]);
  const BinaryFunction function = binary_function(call.kind);
  std::vector<BinaryArgs> launches;
  for (std::size_t i = 1; i < call.inputs.size(); ++i) {
    const Shape& left = i == 1 ? call.inputs[0].type.shape : y;
    launches.push_back(binary_args(function, left, call.inputs[i].type.shape, y));
  }
  Plan plan;
  plan.kernel = kernel_name(KernelId::kBinary);
  plan.run = [launches](const StepArgs& step) {
    if (launches[0].count == 0) return;
    for (std::size_t i = 0; i < launches.size(); ++i) {
      BinaryArgs args = launches[i];
      args.a = i == 0 ? step.in<float>(0) : step.out<float>(0);
      args.b = step.in<float>(i + 1);
      args.y = step.out<float>(0);
      step.launch(KernelId::kBinary, grid_for(args.count), args);
    }
  };
  return plan;
}

Plan plan_normalize(const Call& call) {
  const auto& params = std::get<NormalizeParams>(call.params);
  const TensorType& x = call.inputs[0].type;
  const auto extents = ops::normalize::extents(params, x.shape);
  const auto repeated = [&](const std::vector<float>& values) {
    std::vector<float> result(static_cast<std::size_t>(extents.channels));
    for (std::size_t i = 0; i < result.size(); ++i) result[i] = values[i % values.size()];
    return call.constants.upload(result);
  };
  NormalizeArgs args{};
  args.count = x.shape.elements();
  args.channels = extents.channels;
  args.inner = extents.inner;
  const KernelId kernel =
      x.dtype == DType::kUint8 ? KernelId::kNormalizeU8 : KernelId::kNormalizeF32;
  return plan_kernel(kernel, grid_for(args.count), args, args.count,
                     [scale = repeated(params.scale), bias = repeated(params.bias)](
                         NormalizeArgs& complete, const StepArgs& step) {
                       complete.x = step.inputs[0];
                       complete.y = step.out<float>(0);
                       complete.scale = static_cast<const float*>(scale.get());
                       complete.bias = static_cast<const float*>(bias.get());
                     });
}

Plan plan_batch_norm(const Call& call) {
  const auto& params = std::get<BatchNormParams>(call.params);
  require_f32(call, std::array<std::size_t, 5>{0, 1, 2, 3, 4});
  if (params.training_mode) fail_unsupported("BatchNormalization in training mode on the GPU");
  const auto extents = ops::batch_norm::extents(params, call.inputs[0].type.shape);
  BatchNormArgs args{};
  args.count = call.outputs[0].shape.elements();
  args.channels = extents.channels;
  args.inner = extents.inner;
  args.epsilon = params.epsilon;
  Plan plan = plan_kernel(KernelId::kBatchNorm, grid_for(args.count), args, args.count,
                          [](BatchNormArgs& complete, const StepArgs& step) {
                            complete.x = step.in<float>(0);
                            complete.scale = step.in<float>(1);
                            complete.bias = step.in<float>(2);
                            complete.mean = step.in<float>(3);
                            complete.variance = step.in<float>(4);
                            complete.y = step.out<float>(0);
                          });
  plan.in_place = true;
  return plan;
}

}  // namespace prs::cuda
