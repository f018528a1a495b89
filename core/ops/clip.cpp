#include <limits>
#include <type_traits>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::clip {
namespace {

/// The bound that ONNX gives as an input, as an attribute, or not at all.
template <typename T>
T bound(const ReferenceArgs& args, std::size_t input, std::optional<float> legacy, T fallback) {
  if (legacy) return static_cast<T>(*legacy);
  return args.has(input) ? *args.inputs[input].as<T>() : fallback;
}

}  // namespace

Params parse(const ParseArgs& args) {
  ClipParams params;
  if (args.opset < 11) {
    params.legacy_min = args.attributes.get_float("min", std::numeric_limits<float>::lowest());
    params.legacy_max = args.attributes.get_float("max", std::numeric_limits<float>::max());
  }
  return params;
}

/// y = min(max(x, low), high); with low > high everything becomes high.
///
/// Shapes:   x T[X...], low T[]?, high T[]? -> y, same shape as x; may alias x. T any number.
/// Params:   legacy_min, legacy_max (opsets below 11) instead of the inputs. A bound that is absent
///           is the lowest or highest finite value of T, so it bounds infinities.
/// Numerics: exact; NaN stays NaN.
/// Errors:   invalid model: a bound of another type or with other than one element; unsupported:
///           dtype, legacy bounds of integers.
/// Cost:     reads x, writes y once; bound by memory.
/// Source:   ONNX Clip-13.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  const ClipParams& params = std::get<ClipParams>(args.params);
  const TensorType& x = args.input(0);
  if (params.legacy_min || params.legacy_max) {
    require_dtype(x.dtype, kFloats, "input of Clip before opset 11");
  } else {
    require_dtype(x.dtype, kNumbers, "input");
  }
  for (std::size_t i = 1; i <= 2; ++i) {
    if (!args.has(i)) continue;
    const TensorType& limit = args.input(i);
    const char* name = i == 1 ? "min" : "max";
    if (limit.dtype != x.dtype) {
      fail_model("{} has type {}, the input {}", name, dtype_name(limit.dtype),
                 dtype_name(x.dtype));
    }
    if (limit.shape.elements() != 1) {
      fail_model("{} has shape {}; expected a scalar", name, limit.shape.to_string());
    }
  }
  outputs[0] = x;
}

void reference(const ReferenceArgs& args) {
  const ClipParams& params = std::get<ClipParams>(args.params);
  const TensorView& x = args.inputs[0];
  const MutableTensorView& y = args.outputs[0];
  visit_dtype(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T low = bound<T>(args, 1, params.legacy_min, std::numeric_limits<T>::lowest());
    const T high = bound<T>(args, 2, params.legacy_max, std::numeric_limits<T>::max());
    for (std::int64_t i = 0; i < y.shape.elements(); ++i) {
      const T value = x.as<T>()[i];
      const T raised = value < low ? low : value;
      y.as<T>()[i] = raised > high ? high : raised;
    }
  });
}

}  // namespace prs::ops::clip
