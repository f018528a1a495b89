#include "compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace prs::cli {
namespace {

std::string type_of(const Tensor& tensor) {
  return fmt::format("{}{}", dtype_name(tensor.dtype()), tensor.shape().to_string());
}

/// "[0,2,5]", the position of a flat index.
std::string position(std::int64_t index, const Shape& shape) {
  Shape digits = shape;
  for (std::int64_t axis = shape.rank() - 1; axis >= 0; --axis) {
    digits.set(axis, index % shape[axis]);
    index /= shape[axis];
  }
  return digits.to_string();
}

/// Compares element by element. `load` turns a stored element into one that can be printed.
template <typename Stored, typename Load>
Comparison compare_elements(const Tensor& got, const Tensor& want, const Tolerance& tolerance,
                            Load load) {
  using Value = std::invoke_result_t<Load, Stored>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Comparison result;
  double worst_excess = 0.0;
  std::int64_t worst = -1;
  std::int64_t different = 0;
  const std::int64_t count = want.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    const Value g = load(got.as<Stored>()[i]);
    const Value w = load(want.as<Stored>()[i]);
    const auto x = static_cast<double>(g);
    const auto y = static_cast<double>(w);
    if (g == w || (std::isnan(x) && std::isnan(y))) continue;
    double error = std::abs(x - y);
    if (!std::isfinite(error)) error = kInfinity;
    // 64-bit integers that differ may round to the same double.
    if constexpr (std::is_integral_v<Value>) error = std::max(error, 1.0);
    result.max_abs_error = std::max(result.max_abs_error, error);
    if (y != 0.0) {
      const double relative = std::isfinite(error) ? error / std::abs(y) : kInfinity;
      result.max_rel_error = std::max(result.max_rel_error, relative);
    }
    const double allowed = std::is_integral_v<Value> || !std::isfinite(error)
                               ? 0.0
                               : tolerance.absolute + tolerance.relative * std::abs(y);
    if (error <= allowed) continue;
    ++different;
    if (error - allowed > worst_excess) {
      worst_excess = error - allowed;
      worst = i;
    }
  }
  if (different == 0) return result;
  result.equal = false;
  result.difference = fmt::format("{} of {} elements differ; worst at {}: got {}, expected {}",
                                  different, count, position(worst, want.shape()),
                                  load(got.as<Stored>()[worst]), load(want.as<Stored>()[worst]));
  return result;
}

template <typename T>
Comparison compare_plain(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  return compare_elements<T>(got, want, tolerance, [](T value) { return value; });
}

}  // namespace

Comparison compare(const Tensor& got, const Tensor& want, const Tolerance& tolerance) {
  if (got.dtype() != want.dtype() || !(got.shape() == want.shape())) {
    return {.equal = false,
            .elements_compared = false,
            .difference = fmt::format("got {}, expected {}", type_of(got), type_of(want))};
  }
  switch (want.dtype()) {
    case DType::kFloat32:
      return compare_plain<float>(got, want, tolerance);
    case DType::kFloat64:
      return compare_plain<double>(got, want, tolerance);
    case DType::kFloat16:
      return compare_elements<std::uint16_t>(got, want, tolerance, half_to_float);
    case DType::kBFloat16:
      return compare_elements<std::uint16_t>(got, want, tolerance, bfloat16_to_float);
    case DType::kUint8:
    case DType::kBool:
      return compare_plain<std::uint8_t>(got, want, tolerance);
    case DType::kInt8:
      return compare_plain<std::int8_t>(got, want, tolerance);
    case DType::kUint16:
      return compare_plain<std::uint16_t>(got, want, tolerance);
    case DType::kInt16:
      return compare_plain<std::int16_t>(got, want, tolerance);
    case DType::kUint32:
      return compare_plain<std::uint32_t>(got, want, tolerance);
    case DType::kInt32:
      return compare_plain<std::int32_t>(got, want, tolerance);
    case DType::kUint64:
      return compare_plain<std::uint64_t>(got, want, tolerance);
    case DType::kInt64:
      return compare_plain<std::int64_t>(got, want, tolerance);
    case DType::kUndefined:
      break;
  }
  return {};
}

}  // namespace prs::cli
