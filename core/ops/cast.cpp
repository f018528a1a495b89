#include "ops/cast.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "check.hpp"
#include "ops/op.hpp"
#include "ops/support.hpp"

namespace prs::ops::cast {
namespace {

// Every value of every element type is exact in Exact, the 64-bit integers included.
using Exact = long double;
static_assert(std::numeric_limits<Exact>::digits >= 64);

constexpr std::pair<std::string_view, DType> kNames[] = {
    {"FLOAT", DType::kFloat32},    {"UINT8", DType::kUint8},   {"INT8", DType::kInt8},
    {"UINT16", DType::kUint16},    {"INT16", DType::kInt16},   {"INT32", DType::kInt32},
    {"INT64", DType::kInt64},      {"BOOL", DType::kBool},     {"FLOAT16", DType::kFloat16},
    {"DOUBLE", DType::kFloat64},   {"UINT32", DType::kUint32}, {"UINT64", DType::kUint64},
    {"BFLOAT16", DType::kBFloat16}};

DType parse_name(const std::string& name) {
  for (const auto& [known, dtype] : kNames) {
    if (known == name) return dtype;
  }
  fail_unsupported("a cast to {}", name);
}

DType parse_number(std::int64_t number) {
  for (const auto& [name, dtype] : kNames) {
    if (static_cast<std::int64_t>(dtype) == number) return dtype;
  }
  fail_unsupported("a cast to element type number {}", number);
}

bool is_integer(DType dtype) {
  return dtype != DType::kFloat32 && dtype != DType::kFloat64 && dtype != DType::kFloat16 &&
         dtype != DType::kBFloat16;
}

Exact load(const TensorView& view, std::int64_t i) {
  if (view.dtype == DType::kFloat16) return half_to_float(view.as<std::uint16_t>()[i]);
  if (view.dtype == DType::kBFloat16) return bfloat16_to_float(view.as<std::uint16_t>()[i]);
  if (view.dtype == DType::kBool) return view.as<std::uint8_t>()[i] != 0 ? 1 : 0;
  return visit_dtype(view.dtype, [&](auto zero) -> Exact { return view.as<decltype(zero)>()[i]; });
}

/// Rounds to `digits` binary digits, ties to even, with the exponent bounded below.
Exact round_to(Exact x, int digits, int min_exponent) {
  if (x == 0 || !std::isfinite(x)) return x;
  const int exponent = std::max(std::ilogb(x), min_exponent);
  const Exact quantum = std::ldexp(Exact{1}, exponent - digits + 1);
  return std::nearbyint(x / quantum) * quantum;
}

template <typename T>
T to_integer(Exact x) {
  if (std::isnan(x)) return 0;
  constexpr Exact kMin = std::numeric_limits<T>::min();
  constexpr Exact kMax = std::numeric_limits<T>::max();
  return static_cast<T>(std::clamp(std::trunc(x), kMin, kMax));
}

void store(const MutableTensorView& view, std::int64_t i, Exact x) {
  if (view.dtype == DType::kFloat16) {
    view.as<std::uint16_t>()[i] = float_to_half(static_cast<float>(round_to(x, 11, -14)));
  } else if (view.dtype == DType::kBFloat16) {
    view.as<std::uint16_t>()[i] = float_to_bfloat16(static_cast<float>(round_to(x, 8, -126)));
  } else {
    visit_dtype(view.dtype, [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_same_v<T, bool>) {
        view.as<T>()[i] = x != 0;
      } else if constexpr (std::is_integral_v<T>) {
        view.as<T>()[i] = to_integer<T>(x);
      } else {
        view.as<T>()[i] = static_cast<T>(x);
      }
    });
  }
}

/// Between integers the low bits are kept, which Exact's saturation would not do.
void wrap(const TensorView& from, const MutableTensorView& to, std::int64_t i) {
  const std::uint64_t bits =
      from.dtype == DType::kUint64
          ? from.as<std::uint64_t>()[i]
          : static_cast<std::uint64_t>(to_integer<std::int64_t>(load(from, i)));
  visit_dtype(to.dtype, [&](auto zero) {
    using T = decltype(zero);
    to.as<T>()[i] = static_cast<T>(bits);
  });
}

}  // namespace

void convert(const TensorView& from, const MutableTensorView& to) {
  const std::int64_t count = from.shape.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    if (is_integer(from.dtype) && is_integer(to.dtype)) {
      wrap(from, to, i);
    } else {
      store(to, i, load(from, i));
    }
  }
}

Params parse(const ParseArgs& args) {
  if (!args.attributes.has("to")) fail_model("the attribute 'to' is missing");
  if (args.opset < 6) return CastParams{parse_name(args.attributes.get_string("to", ""))};
  return CastParams{parse_number(args.attributes.get_int("to", 0))};
}

/// Converts every element to another type.
///
/// Shapes:   x any[...] -> y to[...], same shape.
/// Params:   to; the attributes saturate and round_mode concern only types that are not supported.
/// Numerics: to a float type: rounded once, to nearest, ties to even; too large becomes inf. From
///           float to integer: truncated towards zero; out of range saturates, NaN becomes 0. From
///           integer to integer: the low bits are kept. To bool: x != 0, so NaN is true.
/// Errors:   unsupported: strings, complex and 8-bit floats.
/// Cost:     reads 1x, writes 1x; bound by memory.
/// Source:   ONNX Cast-1, -6, -9, -13, -19 to -25.
void infer(const InferArgs& args, std::span<TensorType> outputs) {
  outputs[0] = {std::get<CastParams>(args.params).to, args.input(0).shape};
}

void reference(const ReferenceArgs& args) { convert(args.inputs[0], args.outputs[0]); }

}  // namespace prs::ops::cast
