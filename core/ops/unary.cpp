#include <cmath>
#include <type_traits>

#include "check.hpp"
#include "ops/activation.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::unary {
namespace {

constexpr DType kSignedNumbers[] = {DType::kFloat32, DType::kFloat64, DType::kInt8,
                                    DType::kInt16,   DType::kInt32,   DType::kInt64};

double apply(OpKind kind, double x, double alpha) {
  switch (kind) {
    case OpKind::kNeg:
      return -x;
    case OpKind::kRelu:
      return x < 0 ? 0.0 : x;
    case OpKind::kLeakyRelu:
      return x < 0 ? alpha * x : x;
    case OpKind::kSigmoid:
      return sigmoid(x);
    default:
      return std::tanh(x);
  }
}

}  // namespace

Params parse(const ParseArgs& args) {
  UnaryParams params;
  if (args.kind == OpKind::kLeakyRelu) {
    params.alpha = args.attributes.get_float("alpha", params.alpha);
  }
  return params;
}

/// Neg, Relu, LeakyRelu, Sigmoid, Tanh element by element.
///
/// Shapes:   x T[X...] -> y, same shape; may alias x. T: floats; Neg and Relu: signed integers too.
/// Params:   alpha (LeakyRelu): slope of the negative part.
/// Numerics: Neg, Relu and LeakyRelu are exact up to one rounding, and wrap (-lowest is lowest);
///           Sigmoid and Tanh stay within 4 ulp. NaN stays NaN.
/// Errors:   unsupported: dtype.
/// Cost:     reads x, writes y once; bound by memory.
/// Source:   ONNX Neg-13, Relu-14, LeakyRelu-16, Sigmoid-13, Tanh-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const TensorType& x = args.input(0);
  if (args.kind == OpKind::kNeg || args.kind == OpKind::kRelu) {
    require_dtype(x.dtype, kSignedNumbers, "input");
  } else {
    require_dtype(x.dtype, kFloats, "input");
  }
  outputs[0] = x;
}

void reference(const ReferenceArgs& args) {
  const double alpha = std::get<UnaryParams>(args.params).alpha;
  const TensorView& x = args.inputs[0];
  const MutableTensorView& y = args.outputs[0];
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) {
      const T value = x.as<T>()[i];
      if constexpr (std::is_floating_point_v<T>) {
        y.as<T>()[i] = static_cast<T>(apply(args.kind, value, alpha));
      } else if (args.kind == OpKind::kNeg) {
        y.as<T>()[i] = static_cast<T>(std::uint64_t{0} - static_cast<std::uint64_t>(value));
      } else {
        y.as<T>()[i] = value > 0 ? value : T{0};
      }
    }
  });
}

}  // namespace prs::ops::unary
