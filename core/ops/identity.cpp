#include "check.hpp"
#include "ops/cast.hpp"
#include "ops/movement.hpp"
#include "ops/op.hpp"

namespace prs::ops::identity {
namespace {

constexpr float kDefaultRatio = 0.5F;

double scalar(const Tensor& tensor, std::string_view what) {
  if (tensor.elements() != 1) {
    fail_model("{} must be a scalar, not {}", what, tensor.shape().to_string());
  }
  double value = 0.0;
  cast::convert({tensor.dtype(), Shape{}, tensor.data()}, {DType::kFloat64, Shape{}, &value});
  return value;
}

void refuse_training(double ratio) {
  // Written so that a ratio of NaN is refused too.
  if (!(ratio == 0.0)) {
    fail_unsupported("dropout in training mode with ratio {}; export the model for inference",
                     ratio);
  }
}

}  // namespace

Params parse(const ParseArgs& args) {
  if (args.kind == OpKind::kIdentity) return {};
  // Below opset 7 `is_test` is 0 unless an exporter bothered to set it; a file that is here to be
  // scored means inference all the same.
  return DropoutParams{args.opset < 10};
}

/// Identity, and Dropout at inference: y = x, and every element of the mask is true.
///
/// Shapes: x any[...] -> y, same shape; may alias x. Dropout also takes ratio f*[] and
/// training_mode
///         bool[], both optional, and may give mask bool[...] of x's shape.
/// Params: mask_like_input: the mask has x's element type and holds ones.
/// Errors: unsupported: training mode with a ratio other than 0, or with one that is not known when
///         compiling.
/// Cost:   none where the engine aliases, else one copy.
/// Source: ONNX Identity-1 to -25; Dropout-1, -6, -7, -10, -12, -13, -22.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  outputs[0] = x;
  if (args.kind == OpKind::kIdentity) return;
  if (args.has(2) && scalar(args.value(2), "training_mode") != 0.0) {
    refuse_training(args.has(1) ? scalar(args.value(1), "the ratio") : kDefaultRatio);
  }
  if (outputs.size() > 1) {
    const bool like_input = std::get<DropoutParams>(args.params).mask_like_input;
    outputs[1] = {like_input ? x.dtype : DType::kBool, x.shape};
  }
}

void reference(const ReferenceArgs& args) {
  if (args.wants(0)) copy_elements(args.outputs[0], args.inputs[0]);
  if (!args.wants(1)) return;
  const MutableTensorView& mask = args.outputs[1];
  const float one = 1.0F;
  const std::int64_t count = mask.shape.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    cast::convert({DType::kFloat32, Shape{}, &one},
                  {mask.dtype, Shape{}, mask.as<std::byte>() + i * dtype_size(mask.dtype)});
  }
}

}  // namespace prs::ops::identity
