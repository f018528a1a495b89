#include "ops/binary.hpp"

#include <type_traits>

#include "check.hpp"
#include "ops/activation.hpp"
#include "ops/indexing.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::binary {
namespace {

template <typename T>
T apply(OpKind kind, T a, T b) {
  // Types that wrap instead of overflowing; 32 bits at least, as narrower ones promote to int.
  using Wide = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
  switch (kind) {
    case OpKind::kAdd:
      return static_cast<T>(static_cast<Wide>(a) + static_cast<Wide>(b));
    case OpKind::kSub:
      return static_cast<T>(static_cast<Wide>(a) - static_cast<Wide>(b));
    case OpKind::kMul:
      return static_cast<T>(static_cast<Wide>(a) * static_cast<Wide>(b));
    default:
      if (b == 0) return 0;
      if (std::is_signed_v<T> && b == static_cast<T>(-1)) {
        return static_cast<T>(Wide{0} - static_cast<Wide>(a));
      }
      return static_cast<T>(a / b);
  }
}

double apply(OpKind kind, double a, double b) {
  switch (kind) {
    case OpKind::kAdd:
      return a + b;
    case OpKind::kSub:
      return a - b;
    case OpKind::kMul:
      return a * b;
    default:
      return a / b;
  }
}

}  // namespace

Shape aligned_shape(const BinaryParams& params, const Shape& a, const Shape& b) {
  if (!params.legacy_broadcast || !params.legacy_axis) return b;
  const std::int64_t last = a.rank() - b.rank();
  const std::int64_t axis = *params.legacy_axis + (*params.legacy_axis < 0 ? a.rank() : 0);
  if (axis < 0 || axis > last) {
    fail_model("axis {} does not place B {} inside A {}; expected 0..{}", *params.legacy_axis,
               b.to_string(), a.to_string(), last);
  }
  Shape aligned = b;
  while (aligned.rank() < a.rank() - axis) aligned.push_back(1);
  return aligned;
}

Params parse(const ParseArgs& args) {
  BinaryParams params;
  if (args.opset < 7 && args.attributes.get_int("broadcast", 0) != 0) {
    params.legacy_broadcast = true;
    params.legacy_axis = args.attributes.find_int("axis");
  }
  return params;
}

/// Add, Sub, Mul, Div element by element: y = activation(a op b).
///
/// Shapes:   a T[A...], b T[B...] -> y T[broadcast(A, B)]; T any number. Legacy broadcasting keeps
/// A. Params:   legacy_broadcast, legacy_axis (opsets below 7); activation, f32 only, set by
/// fusion. Numerics: floats: the IEEE result, before the activation; integers wrap and divide
/// towards zero,
///           x / 0 is 0.
/// Errors:   invalid model: types differ, shapes do not broadcast; unsupported: dtype.
/// Cost:     reads both, writes y once; bound by memory.
/// Source:   ONNX Add-14, Sub-14, Mul-14, Div-14.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const BinaryParams& params = std::get<BinaryParams>(args.params);
  const TensorType& a = args.input(0);
  const TensorType& b = args.input(1);
  if (a.dtype != b.dtype) {
    fail_model("inputs 0 and 1 differ in type: {} and {}", dtype_name(a.dtype),
               dtype_name(b.dtype));
  }
  require_dtype(a.dtype, kNumbers, "operands");
  const Shape result = broadcast(a.shape, aligned_shape(params, a.shape, b.shape));
  if (params.legacy_broadcast && !(result == a.shape)) {
    fail_model("B {} does not broadcast to A {}; before opset 7 only B is stretched",
               b.shape.to_string(), a.shape.to_string());
  }
  outputs[0] = {a.dtype, result};
}

void reference(const ReferenceArgs& args) {
  const BinaryParams& params = std::get<BinaryParams>(args.params);
  const TensorView& a = args.inputs[0];
  const TensorView& b = args.inputs[1];
  const MutableTensorView& y = args.outputs[0];
  const auto a_strides = broadcast_strides(a.shape, y.shape);
  const auto b_strides = broadcast_strides(aligned_shape(params, a.shape, b.shape), y.shape);
  visit_dtype(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) {
      const T left = a.as<T>()[offset_at(i, y.shape, a_strides)];
      const T right = b.as<T>()[offset_at(i, y.shape, b_strides)];
      if constexpr (std::is_same_v<T, float>) {
        // Rounded before the activation, as an unfused graph would.
        const float result = static_cast<float>(
            apply(args.kind, static_cast<double>(left), static_cast<double>(right)));
        y.as<T>()[i] = static_cast<float>(activate(params.activation, static_cast<double>(result)));
      } else if constexpr (!std::is_same_v<T, bool>) {
        y.as<T>()[i] = apply(args.kind, left, right);
      }
    }
  });
}

}  // namespace prs::ops::binary
