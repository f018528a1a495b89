// Small helpers that shape rules and references share.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "check.hpp"
#include "prs/tensor.hpp"

namespace prs::ops {

/// axis in [-rank, rank) -> [0, rank). Throws invalid model naming axis and range.
std::int64_t normalize_axis(std::int64_t axis, std::int64_t rank);

/// NumPy broadcasting of two shapes; throws invalid model naming both.
Shape broadcast(const Shape& a, const Shape& b);

/// Row-major strides in elements; 0 for axes of extent 1 when stretched to `target`
/// (right-aligned), one per axis of target. `shape` must broadcast to `target`.
std::vector<std::int64_t> broadcast_strides(const Shape& shape, const Shape& target);

/// Row-major strides in elements.
std::vector<std::int64_t> row_major_strides(const Shape& shape);

/// The contents of a one-dimensional (or scalar) i32 or i64 tensor. Throws invalid model otherwise.
std::vector<std::int64_t> to_ints(const Tensor& tensor, std::string_view what);
std::vector<std::int64_t> to_ints(const TensorView& tensor, std::string_view what);

/// Throws unsupported naming the dtype unless it is among `allowed`.
void require_dtype(DType dtype, std::span<const DType> allowed, std::string_view what);

inline constexpr DType kFloats[] = {DType::kFloat32, DType::kFloat64};
inline constexpr DType kNumbers[] = {
    DType::kFloat32, DType::kFloat64, DType::kInt8,   DType::kInt16,  DType::kInt32,
    DType::kInt64,   DType::kUint8,   DType::kUint16, DType::kUint32, DType::kUint64};

/// Calls `body` with a value of the C++ type of `dtype` (bool as bool, f16/bf16 refused):
///   visit_dtype(dtype, [&](auto zero) { using T = decltype(zero); ... });
/// Throws unsupported for other dtypes.
template <typename Body>
decltype(auto) visit_dtype(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kFloat32:
      return body(float{});
    case DType::kFloat64:
      return body(double{});
    case DType::kInt8:
      return body(std::int8_t{});
    case DType::kInt16:
      return body(std::int16_t{});
    case DType::kInt32:
      return body(std::int32_t{});
    case DType::kInt64:
      return body(std::int64_t{});
    case DType::kUint8:
      return body(std::uint8_t{});
    case DType::kUint16:
      return body(std::uint16_t{});
    case DType::kUint32:
      return body(std::uint32_t{});
    case DType::kUint64:
      return body(std::uint64_t{});
    case DType::kBool:
      return body(bool{});
    default:
      fail_unsupported("element type {}", dtype_name(dtype));
  }
}

}  // namespace prs::ops
