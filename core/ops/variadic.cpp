#include <algorithm>
#include <cmath>
#include <limits>

#include "check.hpp"
#include "ops/indexing.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::variadic {
namespace {

double combine(OpKind kind, double a, double b) {
  if (kind == OpKind::kSum) return a + b;
  if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<double>::quiet_NaN();
  return kind == OpKind::kMax ? std::max(a, b) : std::min(a, b);
}

}  // namespace

Params parse(const ParseArgs&) { return {}; }

/// Max, Min, Sum of any number of operands, element by element.
///
/// Shapes:   x_i T[X_i...] -> y T[broadcast of all]; T any number for Max and Min, a float for Sum.
/// Numerics: Sum adds from left to right, |y - ref| <= n * u * sum |x_i|; NaN in any operand gives
///           NaN.
/// Errors:   invalid model: types differ, shapes do not broadcast; unsupported: dtype.
/// Cost:     for n operands writes y n - 1 times; bound by memory.
/// Source:   ONNX Max-13, Min-13, Sum-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  TensorType result = args.input(0);
  if (args.kind == OpKind::kSum) {
    require_dtype(result.dtype, kFloats, "operands");
  } else {
    require_dtype(result.dtype, kNumbers, "operands");
  }
  for (std::size_t i = 1; i < args.inputs.size(); ++i) {
    const TensorType& input = args.input(i);
    if (input.dtype != result.dtype) {
      fail_model("inputs 0 and {} differ in type: {} and {}", i, dtype_name(result.dtype),
                 dtype_name(input.dtype));
    }
    result.shape = broadcast(result.shape, input.shape);
  }
  outputs[0] = result;
}

void reference(const ReferenceArgs& args) {
  const MutableTensorView& y = args.outputs[0];
  std::vector<std::vector<std::int64_t>> strides;
  for (const TensorView& input : args.inputs) {
    strides.push_back(broadcast_strides(input.shape, y.shape));
  }
  visit_dtype(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) {
      const auto value = [&](std::size_t k) {
        return args.inputs[k].as<T>()[offset_at(i, y.shape, strides[k])];
      };
      if constexpr (std::is_floating_point_v<T>) {
        double result = value(0);
        for (std::size_t k = 1; k < args.inputs.size(); ++k) {
          result = combine(args.kind, result, value(k));
        }
        y.as<T>()[i] = static_cast<T>(result);
      } else {
        T result = value(0);
        for (std::size_t k = 1; k < args.inputs.size(); ++k) {
          const T next = value(k);
          result = args.kind == OpKind::kMax ? std::max(result, next) : std::min(result, next);
        }
        y.as<T>()[i] = result;
      }
    }
  });
}

}  // namespace prs::ops::variadic
